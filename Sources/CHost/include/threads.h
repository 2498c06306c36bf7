// Threads, where Swift's Glibc module shows too little.
#pragma once

/// Names the calling thread, for debuggers; at most 15 bytes.
void chost_name_thread(const char *name);

/// Lets the processor know of a loop that waits.
static inline void chost_pause(void) { __builtin_ia32_pause(); }

/// Lets other threads have the processor (sched_yield).
void chost_yield(void);

/// Gives the processor away for some microseconds.
void chost_sleep_briefly(void);
