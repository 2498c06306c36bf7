// Threads, where Swift's Glibc module shows too little.
#pragma once

/// Names the calling thread, for debuggers; at most 15 bytes.
void chost_name_thread(const char *name);
