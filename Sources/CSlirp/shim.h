// libslirp's interface, as Debian's libslirp-dev installs it.
#pragma once
#include <slirp/libslirp.h>
