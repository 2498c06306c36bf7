// libnbd's interface, as Debian's libnbd-dev installs it.
#pragma once
#include <libnbd.h>
