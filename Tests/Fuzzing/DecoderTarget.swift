import X86Decoder

/// Decodes the input in all modes. A decoded instruction has a legal length, and decodes alike from its own bytes alone;
/// fewer of them are too few.
func fuzzDecoder(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let bytes = Array(UnsafeBufferPointer(start: data, count: min(count, 32)))
  for mode in CodeMode.allCases {
    let decoder = Decoder(mode: mode)
    var instruction = Instruction.empty
    guard decoder.decode(bytes.span, into: &instruction) == .decoded else { continue }
    let length = Int(instruction.length)
    precondition(1...15 ~= length && length <= bytes.count, "length \(length)")
    precondition(!instruction.description.isEmpty)
    var again = Instruction.empty
    precondition(decoder.decode(bytes.span.extracting(0..<length), into: &again) == .decoded)
    precondition(again.operation == instruction.operation && again.length == instruction.length)
    precondition(
      decoder.decode(bytes.span.extracting(0..<length - 1), into: &again) == .needsMoreBytes)
  }
  return 0
}
