// The socket-level operations of a Stack: what send(2), recv(2), bind(2) … mean for an endpoint.
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "stack/endpoint_table.h"
#include "stack/iov_cursor.h"
#include "stack/stack_impl.h"
#include "stack/tcp_internal.h"
#include "stack/udp.h"

namespace postern::stack {
namespace {

Protocol protocol_of(const Endpoint& endpoint) {
  return endpoint.kind.load(std::memory_order_relaxed) == EndpointKind::kTcp ? Protocol::kTcp : Protocol::kUdp;
}

uint32_t port_flags(const Endpoint& endpoint) {
  return (endpoint.reuse_address != 0 ? PortAuthority::kReuseAddress : 0u) |
         (endpoint.reuse_port != 0 ? PortAuthority::kReusePort : 0u);
}

// Copies the chain of a datagram; returns the bytes copied.
size_t copy_chain(PacketPool& pool, uint32_t packet, IovCursor& cursor) {
  size_t copied = 0;
  for (; packet != kNoPacket; packet = pool.packet(packet).chain) {
    const Packet& part = pool.packet(packet);
    const size_t bytes = cursor.copy_into(pool.buffer(packet) + part.offset_bytes, part.length_bytes);
    copied += bytes;
    if (bytes < part.length_bytes) break;
  }
  return copied;
}

// Receive lock held. -EAGAIN if the queue is empty.
int64_t receive_datagram(PacketPool& pool, Endpoint& endpoint, IovCursor& cursor, int flags, RecvInfo* info) {
  const int error = endpoint.error.exchange(0, std::memory_order_acq_rel);
  if (error != 0) return -error;
  const uint32_t index = endpoint.receive_queue.front(pool);
  if (index == kNoPacket) {
    return (endpoint.shutdown_flags.load(std::memory_order_acquire) & kShutRead) != 0 ? 0 : -EAGAIN;
  }
  const Packet& packet = pool.packet(index);
  const uint32_t bytes = packet.datagram_bytes;
  const size_t copied = copy_chain(pool, index, cursor);
  if (info != nullptr) {
    info->from = packet.from;
    info->msg_flags = copied < bytes ? MSG_TRUNC : 0;
  }
  if ((flags & MSG_PEEK) == 0) {
    endpoint.receive_queue.consumed(bytes + kUdpPacketChargeBytes);
    endpoint.receive_queue.pop(pool);
  }
  return (flags & MSG_TRUNC) != 0 ? bytes : static_cast<int64_t>(copied);
}

// Receive lock held. -EAGAIN if the queue is empty.
int64_t receive_stream(PacketPool& pool, Endpoint& endpoint, const iovec* iov, size_t iov_count, int flags) {
  const size_t wanted = IovCursor::total_bytes(iov, iov_count);
  IovCursor cursor(iov, iov_count);
  const bool peek = (flags & MSG_PEEK) != 0;
  const bool discard = (flags & MSG_TRUNC) != 0;  // tcp(7)
  size_t done = 0;
  uint32_t index = endpoint.receive_queue.front(pool);
  while (index != kNoPacket && done < wanted) {
    Packet& packet = pool.packet(index);
    const size_t bytes = std::min<size_t>(packet.length_bytes, wanted - done);
    if (!discard) cursor.copy_into(pool.buffer(index) + packet.offset_bytes, bytes);
    done += bytes;
    if (peek) {
      index = ReceiveQueue::after(pool, index);
      continue;
    }
    packet.offset_bytes = static_cast<uint16_t>(packet.offset_bytes + bytes);
    packet.length_bytes = static_cast<uint16_t>(packet.length_bytes - bytes);
    endpoint.receive_queue.consumed(static_cast<uint32_t>(bytes));
    if (packet.length_bytes != 0) break;
    endpoint.receive_queue.pop(pool);
    index = endpoint.receive_queue.front(pool);
  }
  if (done != 0 || wanted == 0) return static_cast<int64_t>(done);
  const TcpState state = endpoint.tcp.state;
  if (state == TcpState::kListen) return -ENOTCONN;
  const int error = endpoint.error.exchange(0, std::memory_order_acq_rel);
  if (error != 0) return -error;
  if ((endpoint.shutdown_flags.load(std::memory_order_acquire) & kShutRead) != 0) {
    // The FIN may have overtaken a look at the empty queue: data that came with it is there now.
    return endpoint.receive_queue.front(pool) != kNoPacket ? -EAGAIN : 0;
  }
  return state == TcpState::kClosed ? -ENOTCONN : -EAGAIN;
}

uint32_t tcp_readiness(const Endpoint& endpoint) {
  const TcpConnection& tcp = endpoint.tcp;
  const TcpState state = tcp.state;
  if (state == TcpState::kListen) return tcp.accept_count != 0 ? POLLIN | POLLRDNORM : 0;
  const uint32_t shut = endpoint.shutdown_flags.load(std::memory_order_acquire);
  uint32_t mask = 0;
  if (endpoint.error.load(std::memory_order_acquire) != 0) mask |= POLLERR;
  if (shut == (kShutRead | kShutWrite) || state == TcpState::kClosed) mask |= POLLHUP;
  if ((shut & kShutRead) != 0) mask |= POLLIN | POLLRDNORM | POLLRDHUP;
  if (state == TcpState::kSynSent || state == TcpState::kSynReceived) return mask;
  if (endpoint.receive_queue.bytes() != 0) mask |= POLLIN | POLLRDNORM;
  const bool writable = tcp_is_writable(endpoint) && endpoint.wants_buffers.load(std::memory_order_acquire) == 0;
  if ((shut & kShutWrite) != 0 || state == TcpState::kClosed || writable) mask |= POLLOUT | POLLWRNORM;
  return mask;
}

}  // namespace

int Stack::open(SocketType type) {
  LockedSection locked(*impl_);
  if (locked.error != 0) return locked.error;
  Core& core = impl_->core;
  Endpoint* endpoint = endpoint_allocate(core, type == SocketType::kStream ? EndpointKind::kTcp : EndpointKind::kUdp);
  if (endpoint == nullptr) return -ENFILE;
  endpoint->descriptor_open.store(kDescriptorOpen, std::memory_order_release);
  return static_cast<int>(core.index_of(*endpoint));
}

int Stack::Impl::acquire_port(int endpoint_id, const SocketAddress& local, uint32_t flags, bool bound_explicitly) {
  Endpoint* endpoint = find(endpoint_id);
  if (endpoint == nullptr) return -EBADF;
  const Protocol protocol = protocol_of(*endpoint);
  if (core.ports == nullptr) return -EADDRNOTAVAIL;
  const int port = core.ports->acquire(protocol, local, flags);
  if (port < 0) return port;
  SocketAddress bound = local;
  bound.port = static_cast<uint16_t>(port);
  LockedSection locked(*this);
  int error = locked.error;
  if (error == 0 && find(endpoint_id) != endpoint) error = -EBADF;
  if (error == 0 && endpoint->port_reference != kNoEndpoint) error = -EINVAL;  // another thread was faster
  if (error == 0) {
    endpoint->port_reference = port_reference_create(core, protocol, bound);
    if (endpoint->port_reference == kNoEndpoint) error = -ENOBUFS;
  }
  if (error != 0) {
    core.ports->release(protocol, bound);
    return error;
  }
  endpoint->local = bound;
  endpoint->local_wildcard = bound.address.is_unspecified() ? 1 : 0;
  endpoint->tcp.bound_explicitly = bound_explicitly ? 1 : 0;
  if (protocol == Protocol::kUdp) bound_insert(core, *endpoint);
  return 0;
}

int Stack::bind(int endpoint_id, const SocketAddress& local) {
  SocketAddress wanted = local;
  uint32_t flags = 0;
  {
    LockedSection locked(*impl_);
    if (locked.error != 0) return locked.error;
    Endpoint* endpoint = impl_->find(endpoint_id);
    if (endpoint == nullptr) return -EBADF;
    if (local.address.family == AddressFamily::kNone) wanted.address = IpAddress::any_ipv4();
    if (wanted.address.family != AddressFamily::kIpv4) return -EAFNOSUPPORT;
    const bool ours = wanted.address.is_unspecified() || wanted.address == impl_->core.config->address ||
                      (protocol_of(*endpoint) == Protocol::kUdp && ipv4_is_broadcast(impl_->core, wanted.address));
    if (!ours) return -EADDRNOTAVAIL;
    if (endpoint->port_reference != kNoEndpoint || endpoint->tcp.state != TcpState::kClosed) return -EINVAL;
    flags = port_flags(*endpoint);
  }
  return impl_->acquire_port(endpoint_id, wanted, flags, true);
}

namespace {

// Answers a connect(2) on a socket that is not fresh; 1: it is.
int connect_state(Endpoint& endpoint) {
  switch (static_cast<TcpState>(endpoint.tcp.state)) {
    case TcpState::kClosed: {
      const int error = endpoint.error.exchange(0, std::memory_order_acq_rel);
      return error != 0 ? -error : 1;
    }
    case TcpState::kListen:
      return -EISCONN;
    case TcpState::kSynSent:
    case TcpState::kSynReceived:
      return -EALREADY;
    default:
      break;
  }
  if (endpoint.tcp.connect_reported != 0 || endpoint.tcp.parent != kNoEndpoint) return -EISCONN;
  endpoint.tcp.connect_reported = 1;
  return 0;
}

void udp_disconnect(Core& core, Endpoint& endpoint) {
  connection_remove(core, endpoint);
  endpoint.remote = SocketAddress{};
  if (endpoint.local_wildcard != 0) endpoint.local.address = IpAddress::any_ipv4();
}

}  // namespace

int Stack::Impl::finish_connect(int endpoint_id, const SocketAddress& remote) {
  LockedSection locked(*this);
  if (locked.error != 0) return locked.error;
  Endpoint* endpoint = find(endpoint_id);
  if (endpoint == nullptr || endpoint->port_reference == kNoEndpoint) return -EBADF;
  SocketAddress local = endpoint->local;
  local.address = core.config->address;
  const EndpointKind kind = endpoint->kind.load(std::memory_order_relaxed);
  if (kind == EndpointKind::kUdp) {
    udp_disconnect(core, *endpoint);
    // The bound table's chain goes by port alone: the address may change in place.
    endpoint->local = local;
    endpoint->remote = remote;
    connection_insert(core, *endpoint);
    core.notify(*endpoint);
    return 0;
  }
  if (endpoint->tcp.state != TcpState::kClosed) return -EALREADY;
  Endpoint* other = connection_find(core, kind, local, remote);
  if (other != nullptr && other->tcp.state == TcpState::kTimeWait) {
    tcp_drop(core, *other, 0);  // RFC 6191: timestamps tell the incarnations apart
    other = nullptr;
  }
  if (other != nullptr) return -EADDRNOTAVAIL;
  endpoint->local = local;
  endpoint->remote = remote;
  tcp_connect(core, *endpoint);
  return -EINPROGRESS;
}

int Stack::connect(int endpoint_id, const SocketAddress& remote) {
  bool needs_port = false;
  uint32_t flags = 0;
  {
    LockedSection locked(*impl_);
    if (locked.error != 0) return locked.error;
    Endpoint* endpoint = impl_->find(endpoint_id);
    if (endpoint == nullptr) return -EBADF;
    const bool tcp = endpoint->kind.load(std::memory_order_relaxed) == EndpointKind::kTcp;
    if (tcp) {
      if (const int answer = connect_state(*endpoint); answer <= 0) return answer;
    }
    if (remote.address.family == AddressFamily::kNone) {
      if (!tcp) udp_disconnect(impl_->core, *endpoint);
      return 0;
    }
    if (remote.address.family != AddressFamily::kIpv4) return -EAFNOSUPPORT;
    const bool group = remote.address.is_multicast() || ipv4_is_broadcast(impl_->core, remote.address);
    if (!ipv4_has_route(impl_->core, remote.address) || (tcp && group)) return -ENETUNREACH;
    if (!tcp && ipv4_is_broadcast(impl_->core, remote.address) && endpoint->broadcast == 0) return -EACCES;
    if (remote.port == 0) return tcp ? -ECONNREFUSED : -EINVAL;
    needs_port = endpoint->port_reference == kNoEndpoint;
    flags = port_flags(*endpoint);
  }
  if (needs_port) {
    const int error = impl_->acquire_port(endpoint_id, {impl_->core.config->address, 0}, flags, false);
    if (error != 0) return error;
  }
  return impl_->finish_connect(endpoint_id, remote);
}

int Stack::listen(int endpoint_id, int backlog) {
  bool needs_port = false;
  uint32_t flags = 0;
  {
    LockedSection locked(*impl_);
    if (locked.error != 0) return locked.error;
    Endpoint* endpoint = impl_->find(endpoint_id, EndpointKind::kTcp);
    if (endpoint == nullptr) return impl_->find(endpoint_id) == nullptr ? -EBADF : -EOPNOTSUPP;
    const TcpState state = endpoint->tcp.state;
    if (state != TcpState::kClosed && state != TcpState::kListen) return -EINVAL;
    needs_port = endpoint->port_reference == kNoEndpoint;
    flags = port_flags(*endpoint) | PortAuthority::kListen;
  }
  if (needs_port) {
    const int error = impl_->acquire_port(endpoint_id, {IpAddress::any_ipv4(), 0}, flags, true);
    if (error != 0) return error;
  }
  LockedSection locked(*impl_);
  if (locked.error != 0) return locked.error;
  Endpoint* endpoint = impl_->find(endpoint_id, EndpointKind::kTcp);
  if (endpoint == nullptr || endpoint->port_reference == kNoEndpoint) return -EBADF;
  constexpr int kBacklogMax = 4096;  // net.core.somaxconn
  endpoint->tcp.backlog = static_cast<uint32_t>(backlog < 0 ? kBacklogMax : std::min(backlog, kBacklogMax));
  if (endpoint->tcp.state == TcpState::kListen) return 0;
  endpoint->tcp.state = TcpState::kListen;
  endpoint->shutdown_flags.store(0, std::memory_order_relaxed);
  bound_insert(impl_->core, *endpoint);
  return 0;
}

int Stack::accept(int endpoint_id, SocketAddress* peer) {
  if (impl_->down()) return -ENETDOWN;
  const Endpoint* listening = impl_->find(endpoint_id, EndpointKind::kTcp);
  if (listening == nullptr) return impl_->find(endpoint_id) == nullptr ? -EBADF : -EOPNOTSUPP;
  if (listening->tcp.state != TcpState::kListen) return -EINVAL;
  if (listening->tcp.accept_count == 0) return -EAGAIN;
  LockedSection locked(*impl_);
  if (locked.error != 0) return locked.error;
  Endpoint* listener = impl_->find(endpoint_id, EndpointKind::kTcp);
  if (listener == nullptr) return -EBADF;
  if (listener->tcp.state != TcpState::kListen) return -EINVAL;
  Endpoint* child = tcp_listener_accept(impl_->core, *listener);
  if (child == nullptr) return -EAGAIN;
  child->tcp.connect_reported = 1;
  if (peer != nullptr) *peer = child->remote;
  return static_cast<int>(impl_->core.index_of(*child));
}

int64_t Stack::send(int endpoint_id, const iovec* iov, size_t iov_count, int flags, const SocketAddress* to) {
  if ((flags & MSG_OOB) != 0) return -EOPNOTSUPP;
  for (int attempt = 0;; ++attempt) {
    {
      LockedSection locked(*impl_);
      if (locked.error != 0) return locked.error;
      Endpoint* endpoint = impl_->find(endpoint_id);
      if (endpoint == nullptr) return -EBADF;
      if (endpoint->kind.load(std::memory_order_relaxed) == EndpointKind::kTcp) {
        return tcp_send(impl_->core, *endpoint, iov, iov_count, (flags & MSG_MORE) != 0);
      }
      const int error = endpoint->error.exchange(0, std::memory_order_acq_rel);
      if (error != 0) return -error;
      if ((endpoint->shutdown_flags.load(std::memory_order_relaxed) & kShutWrite) != 0) return -EPIPE;
      if (to == nullptr && endpoint->remote.address.family == AddressFamily::kNone) return -EDESTADDRREQ;
      const SocketAddress destination = to != nullptr ? *to : endpoint->remote;
      if (destination.address.family != AddressFamily::kIpv4) return -EAFNOSUPPORT;
      if (destination.port == 0) return -EINVAL;
      if (endpoint->port_reference != kNoEndpoint) {
        return udp_send(impl_->core, *endpoint, iov, iov_count, destination);
      }
    }
    const int error = impl_->acquire_port(endpoint_id, {IpAddress::any_ipv4(), 0}, 0, true);
    // -EINVAL: another thread has bound it meanwhile.
    if (error != 0 && (error != -EINVAL || attempt > 0)) return error;
  }
}

int64_t Stack::recv(int endpoint_id, const iovec* iov, size_t iov_count, int flags, RecvInfo* info) {
  if (impl_->down()) return -ENETDOWN;
  if ((flags & MSG_OOB) != 0) return -EINVAL;
  Endpoint* endpoint = impl_->find(endpoint_id);
  if (endpoint == nullptr) return -EBADF;
  switch (endpoint->receive_lock.lock()) {
    case LockResult::kAcquired:
      break;
    case LockResult::kBroken:
      impl_->mark_down(kDownBroken);
      return -ENETDOWN;
    default:
      return -EAGAIN;
  }
  if (impl_->find(endpoint_id) != endpoint) {  // closed meanwhile
    endpoint->receive_lock.unlock();
    return -EBADF;
  }
  PacketPool pool = impl_->core.pool;
  int64_t result;
  const bool tcp = endpoint->kind.load(std::memory_order_relaxed) == EndpointKind::kTcp;
  if (tcp) {
    result = receive_stream(pool, *endpoint, iov, iov_count, flags);
  } else {
    IovCursor cursor(iov, iov_count);
    result = receive_datagram(pool, *endpoint, cursor, flags, info);
  }
  endpoint->receive_lock.unlock();
  // What was read gave buffers back; nobody else would notice before the next poll.
  const bool senders_wait =
      impl_->state().buffer_waiters.load(std::memory_order_acquire) != 0 && impl_->core.pool.send_worthwhile();
  const bool update = tcp && result > 0 && (flags & MSG_PEEK) == 0 && tcp_window_update_due(impl_->core, *endpoint);
  if (update || senders_wait) {
    const auto node = static_cast<uint32_t>(endpoint_id);
    if (impl_->state().lock.lock_or_defer(impl_->core.deferred, node, kOpWindowUpdate) == LockResult::kAcquired) {
      impl_->leave_running(node);
    }
  }
  return result;
}

int Stack::shutdown(int endpoint_id, int how) {
  if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return -EINVAL;
  LockedSection locked(*impl_);
  if (locked.error != 0) return locked.error;
  Core& core = impl_->core;
  Endpoint* endpoint = impl_->find(endpoint_id);
  if (endpoint == nullptr) return -EBADF;
  const bool tcp = endpoint->kind.load(std::memory_order_relaxed) == EndpointKind::kTcp;
  const TcpState state = endpoint->tcp.state;
  if (tcp && state == TcpState::kListen) {
    // Linux: a listener that is shut down for reading stops listening and keeps its descriptor.
    if (how == SHUT_WR) return 0;
    bound_remove(core, *endpoint);
    tcp_listener_stop(core, *endpoint);
    endpoint->tcp.state = TcpState::kClosed;
    core.notify(*endpoint);
    return 0;
  }
  if (tcp ? state == TcpState::kClosed : endpoint->remote.address.family == AddressFamily::kNone) return -ENOTCONN;
  if (how != SHUT_WR) {
    endpoint->shutdown_flags.fetch_or(kShutRead, std::memory_order_release);
    core.notify(*endpoint);
  }
  if (how == SHUT_RD) return 0;
  if (!tcp) {
    endpoint->shutdown_flags.fetch_or(kShutWrite, std::memory_order_release);
    core.notify(*endpoint);
  } else if (state == TcpState::kSynSent) {
    tcp_drop(core, *endpoint, 0);
  } else {
    tcp_shutdown_write(core, *endpoint);
  }
  return 0;
}

int Stack::close(int endpoint_id, uint32_t expected_generation) {
  if (impl_->down()) return -ENETDOWN;
  Endpoint* endpoint = impl_->find(endpoint_id);
  if (endpoint == nullptr) return -EBADF;
  // Of several closers only one may go on: the id is not valid afterwards.
  if (expected_generation != 0 && endpoint->generation.load(std::memory_order_acquire) != expected_generation) {
    return -EBADF;
  }
  uint8_t open = kDescriptorOpen;
  if (!endpoint->descriptor_open.compare_exchange_strong(open, kDescriptorClosing, std::memory_order_acq_rel)) {
    return -EBADF;
  }
  const auto node = static_cast<uint32_t>(endpoint_id);
  if (impl_->state().lock.lock_or_defer(impl_->core.deferred, node, kOpClose) == LockResult::kAcquired) {
    impl_->leave_running(node);
  }
  return 0;
}

uint32_t Stack::readiness(int endpoint_id) const {
  if (impl_->down()) return POLLERR | POLLHUP | POLLIN | POLLOUT;
  const Endpoint* endpoint = impl_->find(endpoint_id);
  if (endpoint == nullptr) return POLLNVAL;
  if (endpoint->kind.load(std::memory_order_relaxed) == EndpointKind::kTcp) return tcp_readiness(*endpoint);
  const uint32_t shut = endpoint->shutdown_flags.load(std::memory_order_acquire);
  uint32_t mask = 0;
  if (endpoint->error.load(std::memory_order_acquire) != 0) mask |= POLLERR;
  if (shut == (kShutRead | kShutWrite)) mask |= POLLHUP;
  if ((shut & kShutRead) != 0) mask |= POLLIN | POLLRDNORM | POLLRDHUP;
  if (endpoint->receive_queue.packets() != 0) mask |= POLLIN | POLLRDNORM;
  const bool buffers = endpoint->wants_buffers.load(std::memory_order_acquire) == 0;
  if (buffers && tx_has_room(impl_->core)) mask |= POLLOUT | POLLWRNORM;
  return mask;
}

uint32_t Stack::activity(int endpoint_id) const {
  const Endpoint* endpoint = impl_->find(endpoint_id);
  return endpoint == nullptr ? 0 : endpoint->activity.load(std::memory_order_acquire);
}

uint32_t Stack::activity() const { return impl_->state().activity.load(std::memory_order_acquire); }

int Stack::local_address(int endpoint_id, SocketAddress* address) const {
  LockedSection locked(*impl_);
  if (locked.error != 0) return locked.error;
  const Endpoint* endpoint = impl_->find(endpoint_id);
  if (endpoint == nullptr) return -EBADF;
  *address = endpoint->local;
  if (address->address.family == AddressFamily::kNone) address->address = IpAddress::any_ipv4();
  return 0;
}

int Stack::peer_address(int endpoint_id, SocketAddress* address) const {
  LockedSection locked(*impl_);
  if (locked.error != 0) return locked.error;
  const Endpoint* endpoint = impl_->find(endpoint_id);
  if (endpoint == nullptr) return -EBADF;
  const TcpState state = endpoint->tcp.state;
  const bool tcp = endpoint->kind.load(std::memory_order_relaxed) == EndpointKind::kTcp;
  const bool connected = tcp ? state != TcpState::kClosed && state != TcpState::kListen && state != TcpState::kSynSent
                             : endpoint->remote.address.family != AddressFamily::kNone;
  if (!connected) return -ENOTCONN;
  *address = endpoint->remote;
  return 0;
}

int64_t Stack::readable_bytes(int endpoint_id) const {
  Endpoint* endpoint = impl_->find(endpoint_id);
  if (endpoint == nullptr) return -EBADF;
  if (endpoint->kind.load(std::memory_order_relaxed) == EndpointKind::kTcp) {
    if (endpoint->tcp.state == TcpState::kListen) return -EINVAL;
    return endpoint->receive_queue.bytes();
  }
  if (endpoint->receive_lock.lock() != LockResult::kAcquired) return -EAGAIN;
  PacketPool pool = impl_->core.pool;
  const uint32_t index = endpoint->receive_queue.front(pool);
  const int64_t bytes = index == kNoPacket ? 0 : pool.packet(index).datagram_bytes;
  endpoint->receive_lock.unlock();
  return bytes;
}

int64_t Stack::unsent_bytes(int endpoint_id) const {
  const Endpoint* endpoint = impl_->find(endpoint_id);
  if (endpoint == nullptr) return -EBADF;
  return endpoint->tcp.queued_bytes;
}

int Stack::socket_type(int endpoint_id) const {
  const Endpoint* endpoint = impl_->find(endpoint_id);
  if (endpoint == nullptr) return -EBADF;
  return endpoint->kind.load(std::memory_order_relaxed) == EndpointKind::kTcp ? SOCK_STREAM : SOCK_DGRAM;
}

uint32_t Stack::generation(int endpoint_id) const {
  const Endpoint* endpoint = impl_->find(endpoint_id);
  return endpoint == nullptr ? 0 : endpoint->generation.load(std::memory_order_acquire);
}

uint32_t Stack::user_word(int endpoint_id) const {
  const Endpoint* endpoint = impl_->find(endpoint_id);
  return endpoint == nullptr ? 0 : endpoint->user_word.load(std::memory_order_acquire);
}

void Stack::set_user_word(int endpoint_id, uint32_t value) {
  Endpoint* endpoint = impl_->find(endpoint_id);
  if (endpoint != nullptr) endpoint->user_word.store(value, std::memory_order_release);
}

}  // namespace postern::stack
