import HostSystem
import MachineTypes
import Synchronization

/// The host's random generator.
final class HostEntropySource: EntropySource {
  func next() -> UInt64 { HostRandomness.next() }
}

/// SplitMix64: the same numbers for the same seed, from any number of threads.
final class SeededEntropySource: EntropySource {
  private let state: Atomic<UInt64>

  init(seed: UInt64) { state = Atomic(seed) }

  func next() -> UInt64 {
    var value = state.wrappingAdd(0x9E37_79B9_7F4A_7C15, ordering: .relaxed).newValue
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }
}
