// The terminal's mode, and putting it back from wherever the process ends.
#pragma once

#include <stdbool.h>

/// Switches a terminal to raw mode: each key goes through at once, unechoed, Ctrl-C included. From then
/// on it is restored at exit and by every signal that ends or crashes the process. Returns 0, or -1
/// and errno.
int chost_terminal_make_raw(int file);

/// Puts the terminal back as it was. Does nothing when it is not raw. Async-signal-safe.
void chost_terminal_restore(void);

/// How many columns and rows of characters a terminal shows. Returns 0, or -1 and errno.
int chost_terminal_size(int file, unsigned short *columns, unsigned short *rows);
