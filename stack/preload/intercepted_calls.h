// The one list of libc calls that libpostern.so takes over. The exported symbols (exports.cc), the table of the real
// functions (real_calls.h), the declarations of our versions (calls.h) and the list in docs/options.md are generated
// from it, so that a call cannot be half intercepted. First software step of the packet walk: the application's send().
//
// X(return type, name, (parameters), (arguments), "what our version does")
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>

// clang-format off
#define POSTERN_INTERCEPTED_CALLS(X) \
  X(int, socket, (int domain, int type, int protocol), (domain, type, protocol), "kernel socket first; promoted to an endpoint when bind or connect shows that a simulated NIC serves it") \
  X(int, socketpair, (int domain, int type, int protocol, int* pair), (domain, type, protocol, pair), "kernel; both descriptors are noted as the kernel's") \
  X(int, bind, (int fd, const struct sockaddr* address, socklen_t length), (fd, address, length), "wildcard or host address: endpoint; anything else: kernel") \
  X(int, listen, (int fd, int backlog), (fd, backlog), "endpoint: listens in the stack") \
  X(int, accept, (int fd, struct sockaddr* address, socklen_t* length), (fd, address, length), "endpoint: takes a connection and makes its token") \
  X(int, accept4, (int fd, struct sockaddr* address, socklen_t* length, int flags), (fd, address, length, flags), "as accept") \
  X(int, connect, (int fd, const struct sockaddr* address, socklen_t length), (fd, address, length), "served destination: endpoint; otherwise kernel") \
  X(int, shutdown, (int fd, int how), (fd, how), "endpoint: closes a direction") \
  X(int, getsockname, (int fd, struct sockaddr* address, socklen_t* length), (fd, address, length), "endpoint: the stack's address") \
  X(int, getpeername, (int fd, struct sockaddr* address, socklen_t* length), (fd, address, length), "endpoint: the stack's address") \
  X(int, getsockopt, (int fd, int level, int name, void* value, socklen_t* length), (fd, level, name, value, length), "endpoint: the stack's options") \
  X(int, setsockopt, (int fd, int level, int name, const void* value, socklen_t length), (fd, level, name, value, length), "endpoint: the stack's options") \
  X(ssize_t, read, (int fd, void* buffer, size_t size), (fd, buffer, size), "endpoint: receive") \
  X(ssize_t, write, (int fd, const void* buffer, size_t size), (fd, buffer, size), "endpoint: send") \
  X(ssize_t, readv, (int fd, const struct iovec* parts, int count), (fd, parts, count), "endpoint: receive") \
  X(ssize_t, writev, (int fd, const struct iovec* parts, int count), (fd, parts, count), "endpoint: send") \
  X(ssize_t, send, (int fd, const void* buffer, size_t size, int flags), (fd, buffer, size, flags), "endpoint: send") \
  X(ssize_t, sendto, (int fd, const void* buffer, size_t size, int flags, const struct sockaddr* address, socklen_t length), (fd, buffer, size, flags, address, length), "endpoint: send; the first one decides for an unbound UDP socket") \
  X(ssize_t, sendmsg, (int fd, const struct msghdr* message, int flags), (fd, message, flags), "endpoint: send; control data is ignored") \
  X(int, sendmmsg, (int fd, struct mmsghdr* messages, unsigned int count, int flags), (fd, messages, count, flags), "endpoint: a loop of sendmsg") \
  X(ssize_t, recv, (int fd, void* buffer, size_t size, int flags), (fd, buffer, size, flags), "endpoint: receive") \
  X(ssize_t, recvfrom, (int fd, void* buffer, size_t size, int flags, struct sockaddr* address, socklen_t* length), (fd, buffer, size, flags, address, length), "endpoint: receive") \
  X(ssize_t, recvmsg, (int fd, struct msghdr* message, int flags), (fd, message, flags), "endpoint: receive; kernel sockets: descriptors that arrive are examined on first use") \
  X(int, recvmmsg, (int fd, struct mmsghdr* messages, unsigned int count, int flags, struct timespec* timeout), (fd, messages, count, flags, timeout), "endpoint: a loop of recvmsg") \
  X(ssize_t, sendfile, (int out_fd, int in_fd, off_t* offset, size_t count), (out_fd, in_fd, offset, count), "endpoint: copies") \
  X(ssize_t, sendfile64, (int out_fd, int in_fd, off64_t* offset, size_t count), (out_fd, in_fd, offset, count), "endpoint: copies") \
  X(ssize_t, splice, (int in_fd, off64_t* in_offset, int out_fd, off64_t* out_offset, size_t size, unsigned int flags), (in_fd, in_offset, out_fd, out_offset, size, flags), "endpoint: copies") \
  X(int, close, (int fd), (fd), "forgets the descriptor; the library's own descriptors answer EBADF") \
  X(int, close_range, (unsigned int first, unsigned int last, int flags), (first, last, flags), "as close, for each descriptor; keeps the library's own") \
  X(void, closefrom, (int first), (first), "as close_range") \
  X(int, dup, (int fd), (fd), "the copy stands for the same endpoint") \
  X(int, dup2, (int fd, int new_fd), (fd, new_fd), "the copy stands for the same endpoint") \
  X(int, dup3, (int fd, int new_fd, int flags), (fd, new_fd, flags), "the copy stands for the same endpoint") \
  X(int, fcntl, (int fd, int command, unsigned long argument), (fd, command, argument), "endpoint: status flags and owner; F_DUPFD") \
  X(int, fcntl64, (int fd, int command, unsigned long argument), (fd, command, argument), "as fcntl") \
  X(int, ioctl, (int fd, unsigned long request, void* argument), (fd, request, argument), "endpoint: FIONREAD, FIONBIO, SIOCOUTQ, SIOCATMARK") \
  X(int, poll, (struct pollfd* fds, nfds_t count, int timeout_ms), (fds, count, timeout_ms), "mixes endpoints and kernel descriptors") \
  X(int, ppoll, (struct pollfd* fds, nfds_t count, const struct timespec* timeout, const sigset_t* mask), (fds, count, timeout, mask), "as poll") \
  X(int, select, (int count, fd_set* readable, fd_set* writable, fd_set* exceptional, struct timeval* timeout), (count, readable, writable, exceptional, timeout), "as poll") \
  X(int, pselect, (int count, fd_set* readable, fd_set* writable, fd_set* exceptional, const struct timespec* timeout, const sigset_t* mask), (count, readable, writable, exceptional, timeout, mask), "as poll") \
  X(int, epoll_create, (int size), (size), "kernel epoll that can also hold endpoints") \
  X(int, epoll_create1, (int flags), (flags), "as epoll_create") \
  X(int, epoll_ctl, (int epoll_fd, int operation, int fd, struct epoll_event* event), (epoll_fd, operation, fd, event), "endpoints are kept beside the kernel's set") \
  X(int, epoll_wait, (int epoll_fd, struct epoll_event* events, int max_events, int timeout_ms), (epoll_fd, events, max_events, timeout_ms), "merges endpoints and the kernel's set") \
  X(int, epoll_pwait, (int epoll_fd, struct epoll_event* events, int max_events, int timeout_ms, const sigset_t* mask), (epoll_fd, events, max_events, timeout_ms, mask), "as epoll_wait") \
  X(int, epoll_pwait2, (int epoll_fd, struct epoll_event* events, int max_events, const struct timespec* timeout, const sigset_t* mask), (epoll_fd, events, max_events, timeout, mask), "as epoll_wait") \
  X(FILE*, fdopen, (int fd, const char* mode), (fd, mode), "endpoint: a stream whose reads and writes reach the endpoint") \
  X(int, fclose, (FILE* stream), (stream), "forgets the descriptor that the stream closes") \
  X(int, fileno, (FILE* stream), (stream), "streams made by fdopen on an endpoint answer its descriptor") \
  X(ssize_t, __read_chk, (int fd, void* buffer, size_t size, size_t buffer_size), (fd, buffer, size, buffer_size), "read, as compiled with _FORTIFY_SOURCE") \
  X(ssize_t, __recv_chk, (int fd, void* buffer, size_t size, size_t buffer_size, int flags), (fd, buffer, size, buffer_size, flags), "recv, as compiled with _FORTIFY_SOURCE") \
  X(ssize_t, __recvfrom_chk, (int fd, void* buffer, size_t size, size_t buffer_size, int flags, struct sockaddr* address, socklen_t* length), (fd, buffer, size, buffer_size, flags, address, length), "recvfrom, as compiled with _FORTIFY_SOURCE") \
  X(int, __poll_chk, (struct pollfd* fds, nfds_t count, int timeout_ms, size_t fds_size), (fds, count, timeout_ms, fds_size), "poll, as compiled with _FORTIFY_SOURCE") \
  X(int, __ppoll_chk, (struct pollfd* fds, nfds_t count, const struct timespec* timeout, const sigset_t* mask, size_t fds_size), (fds, count, timeout, mask, fds_size), "ppoll, as compiled with _FORTIFY_SOURCE")
// clang-format on
