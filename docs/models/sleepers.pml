/* Several threads that share a stack and its one event queue: who polls, who primes, who wakes whom (stack/stack.h: poll, begin_sleep,
 * must_not_sleep; stack/vi_netif.cc: prime; stack/preload/sleeper.h).
 *
 * Two threads wait for one event each, on an endpoint of their own; further events concern nobody (transmit completions, pure
 * acknowledgements). Whoever polls consumes the events of all. Once a thread has its event it leaves, and polls no more. All sleepers
 * hold the wake eventfd edge-triggered in an epoll instance of their own, so an interrupt or a wake marks all of them.
 *
 * Checked: every thread gets its event (a lost wakeup is a deadlock).
 *
 * Not modelled: the transport of the prime (prime.pml) and of the lock (stack_lock.pml), the helper and the bounded sleeps, which would
 * hide a lost wakeup for 100 ms, and memory orders weaker than sequential consistency.
 *
 * Mutants that must fail: -DMUTANT=1 the poller, which used up the prime, does not prime again for those who sleep; -DMUTANT=2 a
 * sleeper does not look at its endpoint again after it has counted itself; -DMUTANT=3 the poller does not wake those whose
 * endpoints it made ready. */

#ifndef MUTANT
#define MUTANT 0
#endif
#define NOBODY 2
#define SILENT_EVENTS 2
#define EVENTS 4                 /* one for each thread, and the silent ones */

/* shared memory of the stack */
bool locked = false;
bool deferred_prime = false;     /* kOpPrime, left with the owner of the lock */
bool primed = false;             /* netif_primed: a prime is outstanding */
byte sleepers = 0;
byte consumed = 0;
byte ready[3];                   /* per thread: its endpoint has something; the last is nobody's */

/* device and kernel */
byte landed = 0;
byte concerns[EVENTS];           /* whom an event is for */
bool device_primed = false;
byte device_consumer = 0;
bool edge[2];                    /* per thread: what its epoll instance has not reported yet */
bool still_to_come[2];
byte silent_to_come = SILENT_EVENTS;

inline mark_all() { edge[0] = true; edge[1] = true }

inline fire_if_due() {
  if
  :: device_primed && landed > device_consumer -> device_primed = false; mark_all()
  :: else
  fi
}

inline prime_under_lock() {
  atomic {
    if
    :: !primed -> primed = true; device_consumer = consumed; device_primed = true; fire_if_due()
    :: else
    fi
  }
}

inline unlock() {
  do
  :: atomic { deferred_prime -> deferred_prime = false };
     prime_under_lock()
  :: atomic { !deferred_prime -> locked = false; break }
  od
}

inline try_lock() {
  atomic {
    if
    :: !locked -> locked = true; acquired = true
    :: else -> acquired = false
    fi
  }
}

inline poll() {
  try_lock();
  if
  :: acquired ->
     made_ready = false;
     do
     :: consumed < landed ->
        if
        :: concerns[consumed] != NOBODY -> ready[concerns[consumed]] = 1; made_ready = true
        :: else
        fi;
        consumed++;
        primed = false           /* it fired, or fires for events that are consumed already */
     :: else -> break
     od;
#if MUTANT != 1
     if
     :: sleepers > 0 -> prime_under_lock()
     :: else
     fi;
#endif
     unlock();
#if MUTANT != 3
     if
     :: made_ready && sleepers > 0 -> atomic { mark_all() }
     :: else
     fi
#endif
  :: else
  fi
}

proctype thread(byte me) {
  bool acquired, made_ready;
  do
  :: poll();                     /* also with something ready: a call that sends polls too */
     if
     :: ready[me] == 1 -> break
     :: else
     fi;
     sleepers++;
     atomic {                    /* lock_or_defer(kOpPrime) */
       if
       :: !locked -> locked = true; acquired = true
       :: else -> deferred_prime = true; acquired = false
       fi
     };
     if
     :: acquired -> prime_under_lock(); unlock()
     :: else
     fi;
     if
     :: landed > consumed || deferred_prime             /* must_not_sleep */
#if MUTANT != 2
     :: ready[me] == 1
#endif
     :: else -> atomic { edge[me] -> edge[me] = false }
     fi;
     sleepers--
  od
}

proctype device() {
  do
  :: landed == EVENTS -> break
  :: atomic { still_to_come[0] -> still_to_come[0] = false; concerns[landed] = 0; landed++; fire_if_due() }
  :: atomic { still_to_come[1] -> still_to_come[1] = false; concerns[landed] = 1; landed++; fire_if_due() }
  :: atomic { silent_to_come > 0 -> silent_to_come--; concerns[landed] = NOBODY; landed++; fire_if_due() }
  od
}

init {
  atomic {
    still_to_come[0] = true;
    still_to_come[1] = true;
    run thread(0);
    run thread(1);
    run device()
  }
}
