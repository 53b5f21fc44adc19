/* The stack's lock with deferred work, as stack/stack_lock.h describes and stack/stack_lock.cc does it: one step of the model
 * is one atomic operation of the code. Threads leave work on nodes (lock_or_defer) or wait for the lock (lock), in any order.
 *
 * Checked: at most one owner; work is run by the owner only; when all threads are done the word is 0, no node is marked and
 * every bit of work has been run; no deadlock (a sleeper on the futex is always woken).
 *
 * Not modelled: the bounded spin and the 1 ms limit of a futex wait (the model's sleeper has no timeout, so that a lost wakeup shows as
 * a deadlock), owners that die, and memory orders weaker than sequential consistency.
 *
 * Mutants that must fail: -DMUTANT=1 unlock stores 0 instead of comparing; -DMUTANT=2 a node's ops are cleared before its link
 * is read; -DMUTANT=3 the unlocker forgets to wake the futex. */

#ifndef MUTANT
#define MUTANT 0
#endif
#ifndef THREADS
#define THREADS 3
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#define NODES 2

/* The lock word: deferred list head (node + 1), WAITERS bit, owner (thread + 1). Changed in one atomic step only. */
byte head = 0;
bool waiters = false;
byte owner = 0;

byte ops[NODES];       /* bits of work left at a node, one bit per thread */
byte next[NODES];      /* link of the list */

byte asleep = 0;       /* sleepers on the futex, one bit per thread */
byte inside = 0;       /* ghost: threads that believe to be the owner */
byte posted[NODES];    /* ghost: bits of work posted and not yet run */
byte finished = 0;

inline run_work(node, bits) {
  assert(inside == 1 && owner == me + 1);
  posted[node] = posted[node] & ~bits
}

/* StackLock::unlock */
inline unlock() {
  do
  :: atomic {            /* load the word, and compare-and-swap it: the two are one step unless the word changed */
       seen_head = head;
       seen_waiters = waiters
     };
     if
     :: seen_head == 0 ->
        d_step {
          if
#if MUTANT == 1
          :: true ->
#else
          :: head == 0 && waiters == seen_waiters ->
#endif
             inside--; owner = 0; waiters = false; head = 0; released = true
#if MUTANT != 1
          :: else -> released = false
#endif
          fi
        };
        if
        :: released ->
#if MUTANT != 3
           if
           :: seen_waiters -> asleep = 0
           :: else
           fi;
#endif
           break
        :: else
        fi
     :: else ->
        d_step {
          if
          :: head == seen_head && waiters == seen_waiters -> head = 0; taken = seen_head
          :: else -> taken = 0
          fi;
          seen_head = 0; seen_waiters = false; bits = 0
        };
        do
        :: taken == 0 -> break
        :: else ->
#if MUTANT == 2
           d_step { bits = ops[taken - 1]; ops[taken - 1] = 0; run_work(taken - 1, bits) };
           taken = next[taken - 1]
#else
           link = next[taken - 1];
           d_step { bits = ops[taken - 1]; ops[taken - 1] = 0; run_work(taken - 1, bits) };
           taken = link
#endif
        od
     fi
  od
}

/* StackLock::lock_or_defer, and the work and unlock of a caller that got the lock */
inline leave_work(node) {
  atomic {
    posted[node] = posted[node] | (1 << me);
    bits = ops[node];
    ops[node] = ops[node] | (1 << me)
  };
  if
  :: bits != 0                             /* somebody else is responsible for the node */
  :: else ->
     do
     :: atomic { seen_head = head; seen_waiters = waiters; seen_owner = owner };
        if
        :: seen_owner == 0 ->
           atomic {
             if
             :: owner == 0 -> owner = me + 1; inside++; acquired = true
             :: else -> acquired = false
             fi
           };
           if
           :: acquired ->
              d_step { bits = ops[node]; ops[node] = 0; run_work(node, bits); seen_head = 0; seen_waiters = false; bits = 0 };
              unlock();
              break
           :: else
           fi
        :: else ->
           next[node] = seen_head;
           atomic {
             if
             :: head == seen_head && waiters == seen_waiters && owner == seen_owner -> head = node + 1; acquired = true
             :: else -> acquired = false
             fi
           };
           if
           :: acquired -> break            /* deferred */
           :: else
           fi
        fi
     od
  fi
}

/* StackLock::lock, waiting path, then unlock */
inline wait_for_lock() {
  do
  :: atomic { seen_head = head; seen_waiters = waiters; seen_owner = owner };
     if
     :: seen_owner == 0 ->
        atomic {
          if
          :: owner == 0 -> owner = me + 1; waiters = true; inside++; acquired = true
          :: else -> acquired = false
          fi
        };
        if
        :: acquired -> break
        :: else
        fi
     :: else ->
        atomic {
          if
          :: seen_waiters -> acquired = true
          :: !seen_waiters && head == seen_head && !waiters && owner == seen_owner -> waiters = true; acquired = true
          :: else -> acquired = false
          fi
        };
        if
        :: acquired ->
           atomic {                        /* FUTEX_WAIT compares the low half and sleeps in one step */
             if
             :: waiters && owner == seen_owner -> asleep = asleep | (1 << me)
             :: else
             fi
           };
           (asleep & (1 << me)) == 0
        :: else
        fi
     fi
  od;
  unlock()
}

proctype thread(byte me) {
  byte seen_head, seen_owner, taken, link, bits, round;
  bool seen_waiters, acquired, released;
  do
  :: round == ROUNDS -> break
  :: else ->
     if
     :: leave_work(0)
     :: leave_work(1)
     :: wait_for_lock()
     fi;
     atomic {               /* forget what is not needed any more: fewer states */
       round++;
       seen_head = 0; seen_owner = 0; taken = 0; link = 0; bits = 0; seen_waiters = false; acquired = false; released = false
     }
  od;
  finished++
}

init {
  byte i;
  atomic {
    for (i : 0 .. THREADS - 1) { run thread(i) }
  };
  finished == THREADS;
  assert(owner == 0 && head == 0 && !waiters && inside == 0);
  assert(ops[0] == 0 && ops[1] == 0);
  assert(posted[0] == 0 && posted[1] == 0)
}
