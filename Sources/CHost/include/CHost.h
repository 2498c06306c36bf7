// What Swift cannot say: atomic access to guest memory, and kernel structures.
#pragma once

#include "atomics.h"
#include "cpuid.h"
#include "folders.h"
#include "ring.h"
#include "stubs.h"
#include "syscalls.h"
#include "terminal.h"
#include "threads.h"
#include "tlb.h"
#include "translated.h"
#include "kvm.h"
