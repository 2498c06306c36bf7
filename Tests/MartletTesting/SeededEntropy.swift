public import MachineTypes
import Synchronization

/// Random numbers that are the same in every run with the same seed (SplitMix64).
public final class SeededEntropy: EntropySource {
  private let state: Mutex<UInt64>

  public init(seed: UInt64) { state = Mutex(seed) }

  public func next() -> UInt64 {
    state.withLock {
      $0 &+= 0x9E37_79B9_7F4A_7C15
      var value = $0
      value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
      value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
      return value ^ (value >> 31)
    }
  }
}
