// hostd's answers to requests: see hostd_protocol.h for each. All fields come from outside and are checked here.
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "driver/hostd.h"

namespace postern::hostd {

void Hostd::answer_error(Answer& answer, const Error& error) {
  answer.reply.error = error.code != 0 ? error.code : EIO;
  const size_t bytes = std::min(error.message.size(), sizeof answer.reply.message - 1);
  std::memcpy(answer.reply.message, error.message.data(), bytes);
  answer.reply.message[bytes] = '\0';
}

// Errors that a healthy device does not give: look at it at the end of the turn.
void Hostd::suspect_device(const Error& error) {
  if (error.code == ENODEV || error.code == ETIMEDOUT || error.code == EIO ||
      (device_.is_open() && device_.is_gone())) {
    device_suspect_ = true;
  }
}

void Hostd::serve(Connection& connection, Incoming& incoming) {
  Answer answer;
  const Request& request = incoming.request;
  answer.reply.request_id = request.request_id;
  answer.reply.type = request.type;
  if (request.version != kProtocolVersion) {
    answer_error(answer,
                 {EPROTO, fmt::format("hostd speaks protocol version {}, the client {}: build both from the same "
                                      "tree and restart the testbed",
                                      kProtocolVersion, request.version)});
  } else if (request.type == RequestType::kHello) {
    connection.greeted = true;
  } else if (!connection.greeted) {
    closing_.insert(connection.id);
    return;
  } else {
    answer_request(connection, request, incoming.fds.empty() ? -1 : incoming.fds[0], answer);
  }
  int fds[kMaxDescriptors];
  std::copy(answer.borrowed.begin(), answer.borrowed.end(), fds);
  size_t fd_count = answer.borrowed.size();
  if (answer.owned.valid()) {
    fds[fd_count++] = answer.owned.get();
  }
  answer.reply.descriptor_count = static_cast<uint32_t>(fd_count);
  if (!connection.send(&answer.reply, sizeof answer.reply, fds, fd_count)) {
    closing_.insert(connection.id);
  }
}

void Hostd::answer_request(Connection& connection, const Request& request, int foreign_fd, Answer& answer) {
  switch (request.type) {
    case RequestType::kStackCreate:
      return serve_stack_create(connection, answer);
    case RequestType::kAttach:
      return serve_attach(connection, foreign_fd, answer);
    case RequestType::kStatus:
      return serve_status(answer);
    default:
      break;
  }
  StackRecord* record = stack_of(connection, request, answer);
  if (record == nullptr) {
    return;
  }
  switch (request.type) {
    case RequestType::kPortAcquire:
      return serve_port_acquire(request, *record, answer);
    case RequestType::kPortListen:
    case RequestType::kPortRelease:
      return serve_port_change(request, *record, answer);
    case RequestType::kTokenCreate:
      return serve_token_create(request, *record, answer);
    case RequestType::kHelperDone:
      if (connection.is_helper) {
        return serve_helper_done(*record, answer);
      }
      return answer_error(answer, {EPERM, "only a stack helper can say that a stack is done"});
    default:
      closing_.insert(connection.id);
      return answer_error(answer,
                          {EPROTO, fmt::format("request type {} is not known", static_cast<uint32_t>(request.type))});
  }
}

StackRecord* Hostd::stack_of(Connection& connection, const Request& request, Answer& answer) {
  const auto found = stacks_.find(request.stack_id);
  if (found != stacks_.end() && connection.stacks.contains(request.stack_id) && !doomed_.contains(request.stack_id)) {
    return found->second.get();
  }
  const bool gone = found == stacks_.end() && request.stack_id < next_stack_id_;
  answer_error(answer, gone ? Error{ENETDOWN, fmt::format("stack {} is gone: restart the program", request.stack_id)}
                            : Error{EPERM, fmt::format("this process is not attached to stack {}", request.stack_id)});
  return nullptr;
}

void Hostd::grant_to(StackRecord& record, bool must_format, Answer& answer) {
  answer.reply.grant = record.grant;
  answer.reply.grant.must_format = must_format ? 1 : 0;
  int fds[kGrantDescriptors];
  record.fill_descriptors(fds);
  answer.borrowed.assign(fds, fds + kGrantDescriptors);
}

void Hostd::serve_stack_create(Connection& connection, Answer& answer) {
  if (connection.is_helper) {
    return answer_error(answer, {EPERM, "a stack helper cannot create stacks"});
  }
  const uid_t uid = connection.credentials.uid;
  const auto of_user = static_cast<size_t>(
      std::count_if(stacks_.begin(), stacks_.end(), [uid](const auto& entry) { return entry.second->uid == uid; }));
  if (connection.stacks.size() >= kMaxStacksPerConnection || stacks_.size() >= limits_.stacks ||
      of_user >= share_of(uid, limits_.stacks)) {
    return answer_error(
        answer,
        {ENOBUFS, fmt::format("{} stacks exist on host {} (at most {}), {} of this user (at most {}), {} of this "
                              "process (at most {}): stop other programs",
                              stacks_.size(), config_.stack.host, limits_.stacks, of_user,
                              share_of(uid, limits_.stacks), connection.stacks.size(), kMaxStacksPerConnection)});
  }
  Result<StackRecord*> made = make_stack(next_stack_id_, connection.credentials);
  if (!made) {
    return answer_error(answer, made.error());
  }
  ++next_stack_id_;
  StackRecord& record = **made;
  attach(connection, record);
  grant_to(record, true, answer);
}

void Hostd::serve_attach(Connection& connection, int token_fd, Answer& answer) {
  Result<Token> token = tokens_.identify(token_fd);
  if (!token) {
    return answer_error(answer, token.error());
  }
  const auto found = stacks_.find(token->stack_id);
  if (found == stacks_.end() || doomed_.contains(token->stack_id)) {
    return answer_error(answer, {ENETDOWN, fmt::format("stack {} is gone: restart the program", token->stack_id)});
  }
  attach(connection, *found->second);
  answer.reply.endpoint = token->endpoint;
  answer.reply.generation = token->generation;
  grant_to(*found->second, false, answer);
}

void Hostd::serve_port_acquire(const Request& request, StackRecord& record, Answer& answer) {
  ResourceManager& manager = device_.manager();
  if (manager.ports().count(record.vi.vi_id) >= kMaxPortsPerStack) {
    return answer_error(
        answer, {ENOBUFS, fmt::format("the stack has {} ports, the most it can: close sockets", kMaxPortsPerStack)});
  }
  PortRequest port;
  port.owner = record.vi.vi_id;
  port.protocol = static_cast<uint8_t>(std::min(request.protocol, 255u));
  port.local = from_wire(request.local);
  port.port = request.port;
  port.reuse = (request.flags & kPortFlagReuse) != 0;
  if (port.local.family == HostAddress::Family::kNone) {
    return answer_error(answer,
                        {EAFNOSUPPORT, fmt::format("address family {}: expected 4 (IPv4)", request.local.family)});
  }
  Result<PortBinding> binding = manager.acquire_port(port);
  if (!binding) {
    suspect_device(binding.error());
    return answer_error(answer, binding.error());
  }
  answer.reply.port = binding->port;
  answer.reply.binding_id = binding->binding_id;
}

void Hostd::serve_port_change(const Request& request, StackRecord& record, Answer& answer) {
  ResourceManager& manager = device_.manager();
  const Status status =
      request.type == RequestType::kPortListen
          ? manager.listen_port(record.vi.vi_id, request.binding_id, (request.flags & kPortFlagListen) != 0)
          : manager.release_port(record.vi.vi_id, request.binding_id);
  if (!status) {
    suspect_device(status.error());
    answer_error(answer, status.error());
  }
}

void Hostd::serve_token_create(const Request& request, StackRecord& record, Answer& answer) {
  if (tokens_.count() >= limits_.tokens || tokens_.count_of_user(record.uid) >= share_of(record.uid, limits_.tokens)) {
    return answer_error(answer,
                        {EMFILE, fmt::format("{} sockets are open on this host (at most {}), {} of this user (at "
                                             "most {}): close some",
                                             tokens_.count(), limits_.tokens, tokens_.count_of_user(record.uid),
                                             share_of(record.uid, limits_.tokens))});
  }
  Result<UniqueFd> token = tokens_.create({record.grant.stack_id, request.endpoint, request.generation, record.uid});
  if (!token) {
    return answer_error(answer, token.error());
  }
  record.had_token = true;
  answer.owned = std::move(token).value();
}

void Hostd::serve_helper_done(StackRecord& record, Answer& answer) {
  const uint32_t stack_id = record.grant.stack_id;
  if (record.grant.is_host_stack != 0 || !record.orphaned_at || tokens_.count(stack_id) > 0) {
    return answer_error(answer, {EBUSY, fmt::format("stack {} is in use: {} processes, {} open descriptors", stack_id,
                                                    record.attached_count, tokens_.count(stack_id))});
  }
  doom_stack(stack_id, StackCondition::kFreed);
}

void Hostd::serve_status(Answer& answer) {
  const std::string text = status_text();
  UniqueFd file(memfd_create("postern-status", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.valid() || write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return answer_error(answer, {errno, fmt::format("cannot write the status: {}", std::strerror(errno))});
  }
  answer.reply.value = text.size();
  answer.owned = std::move(file);
}

}  // namespace postern::hostd
