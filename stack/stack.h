// The user-level TCP/UDP/IP stack, as a process sees it: a handle on state that lives in a shared region. Any process
// that maps the region may call any function; whoever polls advances the protocol for all. Hides protocols, buffers,
// timers and the lock with deferred work. Packet walk: first step after send(), last step before recv() returns.
//
// No function blocks (beyond a short, bounded wait for the stack's lock) or sleeps; a caller that wants to wait uses
// the sleeper protocol below. Endpoint operations return a value >= 0 or a negative errno value with Linux's meaning.
// All functions are thread-safe unless stated. After the device has gone or the stack broke (a process died while it
// held the lock) each operation returns -ENETDOWN.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "driver/pci_function.h"
#include "driver/result.h"
#include "stack/ip_address.h"
#include "stack/network_interface.h"
#include "stack/stack_config.h"

namespace postern::stack {

enum class Protocol : uint8_t { kTcp = 6, kUdp = 17 };
enum class SocketType : uint8_t { kStream, kDatagram };

// Who decides which stack of the host has a port; installs and removes the filter that steers it here. hostd behind its
// socket (live), the ResourceManager (virtual time), or a table (tests).
class PortAuthority {
 public:
  virtual ~PortAuthority() = default;
  enum Flags : uint32_t { kNone = 0, kReuseAddress = 1, kReusePort = 2, kListen = 4 };
  // port 0: choose an ephemeral one. local.address may be the wildcard. Returns the port or -errno (-EADDRINUSE, …).
  // Called without the stack's lock; may block for a round trip.
  [[nodiscard]] virtual int acquire(Protocol protocol, const SocketAddress& local, uint32_t flags) = 0;
  // Exactly once per successful acquire, possibly from another process of the stack. local.port is the port that
  // acquire returned. Called with the stack's lock held: must not block and must not call the stack.
  virtual void release(Protocol protocol, const SocketAddress& local) = 0;
};

// Wakes the sleepers of all processes of this stack (live: a write to the wake eventfd). Called without the lock when
// something became ready and sleepers() > 0.
class Waker {
 public:
  virtual ~Waker() = default;
  virtual void wake() = 0;
};

// What this process brings along. All pointers must outlive the Stack.
struct StackParts {
  void* region = nullptr;  // page-aligned mapping of the region
  size_t region_bytes = 0;
  ViWindow* window = nullptr;  // the VI's window; unused if netif is given
  const DeviceClock* clock = nullptr;
  PortAuthority* ports = nullptr;
  Waker* waker = nullptr;             // may be null
  NetworkInterface* netif = nullptr;  // instead of the VI (tests)
  bool helper = false;                // this is the stack helper, not the application
};

struct RecvInfo {
  SocketAddress from;
  int msg_flags = 0;  // MSG_TRUNC if a datagram was longer than the space
};

// Counters since format(). Each dropped packet is counted once, under a drop_* name.
struct StackStats {
  uint64_t rx_packets_count, rx_bytes_count, tx_packets_count, tx_bytes_count;
  uint64_t polls_count, poll_batches_count, deferred_count, lock_waits_count, wakes_count;
  uint64_t tcp_segments_in_count, tcp_segments_out_count, tcp_retransmits_count, tcp_fast_retransmits_count;
  uint64_t tcp_timeouts_count, tcp_out_of_order_count, tcp_duplicate_count, tcp_resets_in_count, tcp_resets_out_count;
  uint64_t tcp_active_opens_count, tcp_passive_opens_count, tcp_challenge_acks_count, tcp_zero_window_probes_count;
  uint64_t udp_in_count, udp_out_count, icmp_in_count, icmp_out_count, arp_in_count, arp_out_count;
  uint64_t ip_fragments_in_count, ip_reassembled_count, ip_fragments_out_count;
  uint64_t drop_ethernet_malformed, drop_ethernet_other_host, drop_ethernet_unknown_type;
  uint64_t drop_arp_malformed, drop_arp_queue_full, drop_arp_unresolved;
  uint64_t drop_ip_malformed, drop_ip_checksum, drop_ip_other_address, drop_ip_protocol, drop_ip_reassembly;
  uint64_t drop_icmp_malformed, drop_udp_malformed, drop_udp_checksum, drop_udp_no_socket, drop_udp_queue_full;
  uint64_t drop_tcp_malformed, drop_tcp_checksum, drop_tcp_no_socket, drop_tcp_unacceptable, drop_tcp_paws;
  uint64_t drop_tcp_backlog_full, drop_tcp_window, drop_no_buffer, drop_tx_backlog_full, drop_rx_multi_buffer;
  uint64_t packets_free;  // buffers in the pool now
};

// How far an orphaned stack is: data unacknowledged, only waiting states left, or nothing left.
enum class DrainState { kBusy, kLingering, kDone };

class Stack {
 public:
  // Bytes that the stack's own state and packet buffers need, page-rounded. The VI's rings go behind (or anywhere
  // outside [0, this)): vi_layout_place(layout, region_bytes(config)).
  [[nodiscard]] static size_t region_bytes(const StackConfig& config);
  // Writes an empty stack into zeroed memory, once, before the first attach. config.vi carries the VI's layout.
  [[nodiscard]] static Status format(void* region, size_t region_bytes, const StackConfig& config);
  // A handle for this process. Checks magic, version and sizes. Returns an error with a remedy if they do not fit.
  [[nodiscard]] static Result<std::unique_ptr<Stack>> attach(const StackParts& parts);

  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  // --- endpoints --------------------------------------------------------------------------------------------------
  // Creates a socket; returns its endpoint id. -ENFILE if all are used.
  [[nodiscard]] int open(SocketType type);
  // -EINVAL if bound already; -EADDRNOTAVAIL for a foreign address; -EADDRINUSE.
  [[nodiscard]] int bind(int endpoint, const SocketAddress& local);
  // TCP: starts the handshake, -EINPROGRESS (later -EALREADY, -EISCONN, or the error of SO_ERROR). UDP: sets the peer;
  // a family of kNone dissolves it.
  [[nodiscard]] int connect(int endpoint, const SocketAddress& remote);
  // Binds to an ephemeral port if needed. backlog as in listen(2).
  [[nodiscard]] int listen(int endpoint, int backlog);
  // A connection from the accept queue: its new endpoint id; -EAGAIN if there is none.
  [[nodiscard]] int accept(int endpoint, SocketAddress* peer);
  // flags: MSG_MORE is honoured, MSG_OOB refused; the others are the caller's business. Returns the bytes taken (TCP:
  // maybe fewer than given). -EAGAIN (no space), -EPIPE, -ENOTCONN, -EDESTADDRREQ, -EMSGSIZE, -EHOSTUNREACH,
  // -ENETUNREACH, pending errors.
  [[nodiscard]] int64_t send(int endpoint, const iovec* iov, size_t iov_count, int flags, const SocketAddress* to);
  // flags: MSG_PEEK, MSG_TRUNC. 0 is end of stream (TCP) or an empty datagram. info may be null. Does not take the
  // stack's lock unless a window update is due.
  [[nodiscard]] int64_t recv(int endpoint, const iovec* iov, size_t iov_count, int flags, RecvInfo* info);
  // how: SHUT_RD, SHUT_WR, SHUT_RDWR.
  [[nodiscard]] int shutdown(int endpoint, int how);
  // The last descriptor is gone: the id is invalid from now on; FIN, or RST if data was unread or SO_LINGER is {1, 0}.
  // generation != 0: does nothing (-EBADF) if the id has been given to another socket since. May be deferred.
  int close(int endpoint, uint32_t generation = 0);

  // POLLIN, POLLOUT, POLLERR, POLLHUP, POLLRDHUP, POLLRDNORM, POLLWRNORM as Linux's poll(2) would report. Lock-free.
  [[nodiscard]] uint32_t readiness(int endpoint) const;
  // Grows whenever something new makes the endpoint ready (data, space, connection, error): for edge-triggered
  // waiting and to skip endpoints where nothing happened. Lock-free.
  [[nodiscard]] uint32_t activity(int endpoint) const;
  // The same over all endpoints.
  [[nodiscard]] uint32_t activity() const;

  // setsockopt/getsockopt of SOL_SOCKET, IPPROTO_TCP and IPPROTO_IP. -ENOPROTOOPT for options that do not exist here.
  // SO_RCVTIMEO and SO_SNDTIMEO are kept for the caller, who waits.
  [[nodiscard]] int set_option(int endpoint, int level, int name, const void* value, socklen_t length);
  [[nodiscard]] int get_option(int endpoint, int level, int name, void* value, socklen_t* length);
  [[nodiscard]] int local_address(int endpoint, SocketAddress* address) const;
  [[nodiscard]] int peer_address(int endpoint, SocketAddress* address) const;  // -ENOTCONN
  [[nodiscard]] int64_t readable_bytes(int endpoint) const;  // FIONREAD/SIOCINQ (UDP: of the next datagram)
  [[nodiscard]] int64_t unsent_bytes(int endpoint) const;    // SIOCOUTQ: not yet acknowledged
  [[nodiscard]] int socket_type(int endpoint) const;         // SOCK_STREAM, SOCK_DGRAM or -EBADF
  // Distinguishes successive users of an endpoint id; never 0 for an open one. 0: the id is not open.
  [[nodiscard]] uint32_t generation(int endpoint) const;
  // A word per endpoint, shared by all processes, 0 after open/accept: the caller's (e.g. O_NONBLOCK).
  [[nodiscard]] uint32_t user_word(int endpoint) const;
  void set_user_word(int endpoint, uint32_t value);

  // --- progress ---------------------------------------------------------------------------------------------------
  // Consumes events, runs timers and deferred work, sends what is due, rings doorbells once. Returns the work done
  // (0: nothing). Returns 0 at once if another thread has the lock: that thread does the work.
  size_t poll();
  // Device time of the next timer; UINT64_MAX if none is armed. May be early, never late. Lock-free.
  [[nodiscard]] uint64_t next_deadline_ns() const;

  // Sleeper protocol: begin_sleep(); if readiness is not yet what is waited for and !must_not_sleep(): sleep on the
  // VI's interrupt with a timeout of at most next_deadline_ns(); end_sleep(); poll(). begin_sleep counts the sleeper,
  // then primes.
  void begin_sleep();
  void end_sleep();
  [[nodiscard]] bool must_not_sleep() const;  // events, deferred work or an expired timer wait; or the stack is down
  [[nodiscard]] uint32_t sleepers() const;
  // Device time when a process other than the helper last polled.
  [[nodiscard]] uint64_t last_application_poll_ns() const;

  // --- end of life ------------------------------------------------------------------------------------------------
  // No application process is left: closes every endpoint as close() does. Called by the helper.
  void orphan();
  [[nodiscard]] DrainState drain_state() const;
  [[nodiscard]] bool all_closed() const;  // no endpoint in any state
  void abort_all();                       // resets every connection and frees all endpoints
  // A process died while it held the lock: tells the peers of all connections, as far as the ring takes it. Returns
  // where to go on after a pause; endpoint_count: done. Called by the helper, with no other use of the stack
  // afterwards.
  [[nodiscard]] uint32_t reset_peers_of_broken_stack(uint32_t from);
  // The device is gone: every later operation returns -ENETDOWN, sleepers are woken. Idempotent; any process.
  void mark_device_gone();
  [[nodiscard]] bool is_down() const;    // device gone, VI halted or broken
  [[nodiscard]] bool is_broken() const;  // a process died while it held the lock

  [[nodiscard]] StackStats stats() const;
  [[nodiscard]] const StackConfig& config() const;
  [[nodiscard]] ViState& vi_state();

  struct Impl;  // stack_impl.h; for the stack's own files

 private:
  explicit Stack(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace postern::stack
