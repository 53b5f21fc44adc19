// A message whose descriptor takes long to close, sent with this process's last copy of it.
#pragma once

#include <sys/socket.h>

#include <cstring>

#include "tests/driver/slow_descriptor.h"

namespace postern::testing {

// Sends "status" on a connected Unix socket; afterwards only the message holds the descriptor.
inline void send_last_copy(int socket_fd, SlowDescriptor& slow) {
  char text[] = "status";
  iovec part{text, sizeof text - 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* first = CMSG_FIRSTHDR(&message);
  first->cmsg_level = SOL_SOCKET;
  first->cmsg_type = SCM_RIGHTS;
  first->cmsg_len = CMSG_LEN(sizeof(int));
  const int fd = slow.get();
  std::memcpy(CMSG_DATA(first), &fd, sizeof fd);
  [[maybe_unused]] const ssize_t sent = sendmsg(socket_fd, &message, MSG_NOSIGNAL);
  slow.drop();
}

}  // namespace postern::testing
