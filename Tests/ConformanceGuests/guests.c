#include "ConformanceGuests.h"
