/* Priming and waking through a shared doorbell page (rules R3, R4, R6), and the sleep/kick protocol between the VI library
 * (driver/mapped_vi_window.cc) and the simulator (sim/doorbell_pages.cc).
 *
 * The host consumes events; when it finds none it primes, looks once more and sleeps until the interrupt. The prime is a store into the
 * doorbell page; the host then looks at SLEEPING and kicks. The device polls the page; before it sleeps it sets SLEEPING and polls
 * again. Both sides' stores pass through store buffers that drain at any later time, as on x86 (TSO); a fence waits for the own buffer.
 *
 * Checked: the host consumes all events (a lost wakeup or a lost kick is a deadlock); when an interrupt arrives, the event that caused
 * it is in memory.
 *
 * Not modelled: moderation, several sleepers, the bounded sleeps that would hide a lost kick for 1 ms and a lost wakeup for 100 ms.
 *
 * Mutants that must fail: -DMUTANT=1 no fence in the host; -DMUTANT=2 no fence in the device; -DMUTANT=3 the device does not poll again
 * before it sleeps; -DMUTANT=4 a prime looks only at later events (R6 broken); -DMUTANT=5 interrupts overtake events (R3 broken). */

#ifndef MUTANT
#define MUTANT 0
#endif
#ifndef EVENTS
#define EVENTS 4
#endif

mtype = { EVENT, INTERRUPT };

/* memory that both see */
byte page_idx = 0;               /* EVQ_PRIME.CONSUMER_IDX */
byte page_sequence = 0;          /* EVQ_PRIME.SEQUENCE, 1 to 3 */
bool sleeping = false;           /* CLOCK.SLEEPING */
bool kick = false;               /* kick eventfd */
bool interrupt = false;          /* the VI's wake eventfd: edges since the sleeper last looked */
byte landed = 0;                 /* events in host memory */

/* store buffers */
bool host_buffered = false;
byte host_buffer_idx, host_buffer_sequence;
chan device_buffer = [2] of { bool };

chan link = [3] of { mtype, byte };    /* posted writes from the device, in order */
byte issued = 0;                       /* events that the device has issued */

active proctype host() {
  byte consumed = 0;
  byte sequence = 0;
  do
  :: consumed == EVENTS -> break
  :: consumed < landed -> consumed++
  :: consumed == landed && consumed < EVENTS ->
     atomic { !host_buffered -> sequence = sequence % 3 + 1; host_buffer_idx = consumed; host_buffer_sequence = sequence;
              host_buffered = true };
#if MUTANT != 1
     !host_buffered;                   /* fence */
#endif
     if
     :: sleeping -> kick = true
     :: else
     fi;
     if
     :: landed > consumed              /* looks once more before it sleeps */
     :: else -> atomic { interrupt -> interrupt = false }
     fi
  od
}

active proctype store_buffers() {
end:
  do
  :: atomic { host_buffered -> page_idx = host_buffer_idx; page_sequence = host_buffer_sequence; host_buffered = false }
  :: device_buffer?sleeping
  od
}

active proctype pcie_link() {
  byte idx;
end:
  do
  :: atomic { link?EVENT,_ -> landed++ }
  :: atomic { link?INTERRUPT,idx -> assert(landed > idx); interrupt = true; idx = 0 }
  od
}

inline wake_if_due() {
  if
  :: primed && issued > consumer ->
     primed = false;
#if MUTANT == 5
     atomic { assert(landed > consumer); interrupt = true }
#else
     link!INTERRUPT,consumer
#endif
  :: else
  fi
}

inline issue_event() {
  issued++;
  link!EVENT,0;
  wake_if_due()
}

inline poll_page() {
  atomic {
    changed = (page_idx != seen_idx || page_sequence != seen_sequence);
    seen_idx = page_idx;
    seen_sequence = page_sequence
  };
  if
  :: changed ->
     consumer = seen_idx;
     primed = true;
#if MUTANT != 4
     wake_if_due()
#endif
  :: else
  fi
}

active proctype device() {
  byte seen_idx = 0, seen_sequence = 0, consumer = 0;
  bool primed = false, changed;
  do
  :: poll_page()
  :: issued < EVENTS -> issue_event()
  :: true ->
     device_buffer!true;
#if MUTANT != 2
     empty(device_buffer);             /* fence */
#endif
#if MUTANT == 3
     changed = false;
#else
     poll_page();
#endif
     if
     :: changed
     :: else ->
end_sleep:
        if
        :: kick -> kick = false
        :: issued < EVENTS             /* the simulation has something to do */
        fi
     fi;
     device_buffer!false
  od
}
