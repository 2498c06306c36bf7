#define _GNU_SOURCE
#include "threads.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

void chost_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

void chost_yield(void) { sched_yield(); }

void chost_sleep_briefly(void) {
  struct timespec time = {.tv_nsec = 20000};
  nanosleep(&time, NULL);
}
