// In C because a signal handler may only do what is async-signal-safe, which Swift cannot promise.
#define _GNU_SOURCE
#include "terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved;
static int terminal = -1;
static volatile sig_atomic_t is_raw;

void chost_terminal_restore(void) {
  if (is_raw) {
    is_raw = 0;
    tcsetattr(terminal, TCSANOW, &saved);
  }
}

static struct sigaction previous[NSIG];

// SA_RESETHAND made the default action current again; the signal is raised anew once this returns.
static void restore_and_end(int signal) {
  chost_terminal_restore();
  sigaction(signal, &previous[signal], NULL);
  raise(signal);
}

int chost_terminal_make_raw(int file) {
  static bool is_prepared;
  if (is_raw) return 0;
  if (tcgetattr(file, &saved) != 0) return -1;
  terminal = file;
  if (!is_prepared) {
    is_prepared = true;
    atexit(chost_terminal_restore);
    const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGABRT, SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV};
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) {
      struct sigaction current;
      sigaction(signals[i], NULL, &current);
      // An engine that handles a fault itself keeps its handler; so does nohup's SIGHUP.
      if (current.sa_handler != SIG_DFL) continue;
      previous[signals[i]] = current;
      struct sigaction action = {.sa_handler = restore_and_end, .sa_flags = SA_RESETHAND};
      sigemptyset(&action.sa_mask);
      sigaction(signals[i], &action, NULL);
    }
  }
  struct termios raw = saved;
  cfmakeraw(&raw);
  // Output as before: the guest sends its own carriage returns, but messages of ours do not.
  raw.c_oflag = saved.c_oflag;
  if (tcsetattr(file, TCSANOW, &raw) != 0) return -1;
  is_raw = 1;
  return 0;
}

int chost_terminal_size(int file, unsigned short *columns, unsigned short *rows) {
  struct winsize size;
  if (ioctl(file, TIOCGWINSZ, &size) != 0) return -1;
  *columns = size.ws_col;
  *rows = size.ws_row;
  return 0;
}
