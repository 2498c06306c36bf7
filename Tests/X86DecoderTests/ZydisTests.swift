import CZydis
import Foundation
import Testing
import X86Decoder

/// Every decoding is compared with Zydis 4.0: length, validity, mnemonic, memory operand, immediates.
struct ZydisTests {
  /// Cases per mode and kind; MARTLET_DECODER_CASES asks for more.
  static let caseCount =
    ProcessInfo.processInfo.environment["MARTLET_DECODER_CASES"].flatMap(Int.init) ?? 40_000

  @Test(arguments: CodeMode.allCases)
  func `random bytes decode as Zydis decodes them`(mode: CodeMode) {
    var source = ByteSource(seed: 0x5EED + UInt64(mode.rawValue))
    var tally = Tally("random, \(mode)")
    let decoder = Decoder(mode: mode)
    for _ in 0..<Self.caseCount {
      tally.note(Comparison(source.random(), mode: mode, decoder: decoder))
    }
    #expect(tally.finish() == 0)
  }

  @Test(arguments: CodeMode.allCases)
  func `likely encodings decode as Zydis decodes them`(mode: CodeMode) {
    var source = ByteSource(seed: 0xB1A5 + UInt64(mode.rawValue))
    var tally = Tally("biased, \(mode)")
    let decoder = Decoder(mode: mode)
    for _ in 0..<Self.caseCount {
      tally.note(Comparison(source.biased(), mode: mode, decoder: decoder))
    }
    #expect(tally.finish() == 0)
  }

  @Test(arguments: CodeMode.allCases)
  func `the code of the C library decodes as Zydis decodes it`(mode: CodeMode) throws {
    let path = ["/lib/x86_64-linux-gnu/libc.so.6", "/bin/busybox"].first {
      FileManager.default.fileExists(atPath: $0)
    }
    let text = try ELFText(path: #require(path)).bytes
    var tally = Tally("libc, \(mode)")
    let decoder = Decoder(mode: mode)
    var position = 0
    while position + 15 <= text.count, tally.count < Self.caseCount * 5 {
      let comparison = Comparison(
        Array(text[position..<position + 15]), mode: mode, decoder: decoder)
      tally.note(comparison)
      position += comparison.isTheirsValid ? Int(comparison.theirs.length) : 1
    }
    #expect(tally.finish() == 0)
  }
}

/// Counts differences and prints the first of each kind.
struct Tally {
  let title: String
  var count = 0
  var decoded = 0
  var tolerated: [String: Int] = [:]
  var differences: [String: (count: Int, example: String)] = [:]

  init(_ title: String) { self.title = title }

  mutating func note(_ comparison: Comparison) {
    count += 1
    if comparison.isOursValid { decoded += 1 }
    guard let difference = comparison.difference else { return }
    if let reason = Tolerances.reason(comparison, difference) {
      tolerated[reason, default: 0] += 1
      return
    }
    let key = "\(difference) \(comparison.theirName) / \(comparison.ours.operation)"
    differences[key, default: (0, comparison.report)].count += 1
  }

  /// Prints the numbers; returns how many differences are not tolerated.
  func finish() -> Int {
    let differing = differences.values.reduce(0) { $0 + $1.count }
    print(
      "\(title): \(count) cases, \(decoded) decoded, \(tolerated.values.reduce(0, +)) tolerated,"
        + " \(differing) differ")
    for (reason, count) in tolerated.sorted(by: { $0.key < $1.key }) {
      print("  tolerated \(count): \(reason)")
    }
    for (key, value) in differences.sorted(by: { $0.value.count > $1.value.count }) {
      print("  DIFFERENT \(value.count) \(key): \(value.example)")
    }
    return differing
  }
}
