import BootLoaders
import FirmwareTables
import GuestMemory
import MachineTypes
import Testing

/// A generator of which the same seed always gives the same numbers (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

struct MutationTests {
  private static let extremes: [UInt64] = [
    0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 63,
    .max, .max - 1, 0xFFFF_FFFF_FFFF_F000,
  ]

  private static let seeds: [(name: String, bytes: [UInt8], hot: Range<Int>)] = [
    ("bzImage 64", SyntheticBzImage().bytes, 0x1F1..<0x270),
    ("bzImage 32", SyntheticBzImage(is64Bit: false).bytes, 0x1F1..<0x270),
    ("ELF 64", SyntheticELF(pvhEntry: 0x100_0040).bytes, 0..<0x240),
    (
      "ELF 32",
      SyntheticELF(is64Bit: false, pvhEntry: 0x100_0040, relocation: .init(words: [4096, 0, 0]))
        .bytes, 0..<0x240
    ),
  ]

  private func mutate(
    _ bytes: [UInt8], _ hot: Range<Int>, _ generator: inout SeededGenerator
  ) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...4, using: &generator) {
      let offset = Int.random(in: hot, using: &generator)
      let width = [1, 2, 4, 8].randomElement(using: &generator) ?? 1
      let value =
        Bool.random(using: &generator)
        ? Self.extremes.randomElement(using: &generator) ?? 0 : generator.next()
      for index in 0..<width where offset + index < bytes.count {
        bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(index)))
      }
    }
    if Int.random(in: 0..<4, using: &generator) == 0 {
      bytes.removeLast(Int.random(in: 0..<bytes.count, using: &generator))
    }
    return bytes
  }

  /// Every outcome is a loaded guest whose entry lies in RAM, or a `BootError`; never a trap.
  @Test(arguments: 0..<4)
  func `thousands of spoilt headers are loaded or refused`(index: Int) throws {
    let (name, bytes, hot) = Self.seeds[index]
    let (memory, firmware) = try machine(memory: 64.mebibytes)
    var generator = SeededGenerator(state: UInt64(index) &+ 20_261_123)
    var loaded = 0
    var refused = 0
    for round in 0..<4000 {
      let mutant = mutate(bytes, hot, &generator)
      let address: GuestPhysicalAddress? =
        round % 3 == 0 ? GuestPhysicalAddress(generator.next() >> (generator.next() & 63)) : nil
      do throws(BootError) {
        let guest = try LinuxBootLoader.load(
          kernel: mutant, initialRAMDisk: round % 2 == 0 ? [1] : nil, commandLine: "a=b",
          options: BootOptions(kernelAddress: address), memory: memory, firmware: firmware,
          signature: 0)
        loaded += 1
        #expect(memory.contains(guest.entryAddress, byteCount: 1), "\(name) round \(round)")
      } catch {
        refused += 1
        #expect(!error.description.isEmpty)
      }
    }
    #expect(loaded > 100, "\(name): \(loaded) loaded")
    #expect(refused > 1000, "\(name): \(refused) refused")
  }

  @Test func `noise is refused`() throws {
    let (memory, firmware) = try machine(memory: 64.mebibytes)
    var generator = SeededGenerator(state: 7)
    for _ in 0..<2000 {
      let count = Int.random(in: 0..<4096, using: &generator)
      let noise = (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
      #expect(throws: BootError.self) {
        try LinuxBootLoader.load(
          kernel: noise, commandLine: "", memory: memory, firmware: firmware, signature: 0)
      }
    }
  }
}
