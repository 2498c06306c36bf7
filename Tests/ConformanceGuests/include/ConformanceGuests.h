// Small guests in assembly, as blobs between two symbols.
#pragma once
