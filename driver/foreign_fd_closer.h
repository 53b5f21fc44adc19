// Closes descriptors that came from outside, and sockets whose unread messages may hold some. Closing one can wait for
// as long as its sender likes: a socket with SO_LINGER, a file of a FUSE file system, or a socket in whose queue such a
// descriptor lies. Threads of their own do it, so the caller never waits. Thread-safe.
#pragma once

#include <cstdint>

namespace postern {

// Descriptors of one owner that may wait to be closed before foreign_closes_held_up() says so.
inline constexpr uint32_t kForeignClosesMost = 64;

// Takes the descriptor (-1: nothing happens) and closes it soon, in another thread. owner: on whose account, e.g. the
// user id of the peer; one owner's slow closes hold up only its own.
void close_foreign(int fd, uint32_t owner = 0);

// The owner's descriptors are not closed as fast as they come: take no more from it, drop its connection.
[[nodiscard]] bool foreign_closes_held_up(uint32_t owner = 0);

}  // namespace postern
