/// The opcode table, flattened for the decoder: an opcode and its prefix class lead to a head, a head
/// (with ModRM, where that decides) to a chain of rows, of which the first that is legal in the mode holds.
final class OpcodeTable: Sendable {
  static let shared = OpcodeTable(OpcodeSection.all)

  /// How a head finds its chain.
  enum Shape {
    /// It is the chain.
    static let direct: UInt32 = 0
    /// 16 cells, by ModRM.reg, then those with mod 3.
    static let byDigit: UInt32 = 1 << 24
    /// 256 cells, by ModRM.
    static let byModRM: UInt32 = 2 << 24
    static let mask: UInt32 = 3 << 24
  }

  /// Ends a chain.
  static let end: UInt16 = 0xFFFF

  let rows: ContiguousArray<OpcodeRow>
  let heads: ContiguousArray<UInt32>
  let cells: ContiguousArray<UInt16>
  let chains: ContiguousArray<UInt16>

  /// The four legacy maps, then the three of VEX.
  static func tableIndex(_ encoding: Encoding, _ map: OpcodeMap) -> Int {
    encoding == .legacy ? Int(map.rawValue) : Int(map.rawValue) + 3
  }

  init(_ sections: [OpcodeSection]) {
    let parser = OpcodeParser()
    let parsed = sections.flatMap(parser.parse)
    precondition(parsed.count < Int(Self.end), "too many rows")
    rows = ContiguousArray(parsed.map(\.0))
    let places = parsed.map(\.1)

    // Rows that name their prefix go first.
    var candidates = [[Int]](repeating: [], count: 7 * 256 * 4)
    for isSpecific in [true, false] {
      for (number, place) in places.enumerated() where place.isSpecific == isSpecific {
        for opcode in place.opcode..<place.opcode + place.count {
          for prefix in 0..<4 where place.prefixClasses >> prefix & 1 != 0 {
            candidates[(place.table << 8 | opcode) << 2 | prefix].append(number)
          }
        }
      }
    }

    var builder = ChainBuilder()
    var heads = ContiguousArray<UInt32>()
    for numbers in candidates {
      let isByModRM = numbers.contains { places[$0].exactModRM != nil }
      let isByDigit = numbers.contains { places[$0].needsModRM }
      func chain(_ modRM: Int) -> UInt16 {
        builder.chain(numbers.filter { places[$0].matches(modRM: modRM) })
      }
      if isByModRM {
        heads.append(Shape.byModRM | UInt32(builder.cells.count))
        builder.cells += (0..<256).map(chain)
      } else if isByDigit {
        heads.append(Shape.byDigit | UInt32(builder.cells.count))
        builder.cells += (0..<16).map { chain(($0 & 7) << 3 | ($0 >= 8 ? 0xC0 : 0)) }
      } else {
        heads.append(Shape.direct | UInt32(builder.chain(numbers)))
      }
    }
    self.heads = heads
    cells = builder.cells
    chains = builder.chains
  }
}

/// Lists of rows, equal ones kept once.
private struct ChainBuilder {
  var cells = ContiguousArray<UInt16>()
  var chains: ContiguousArray<UInt16> = [OpcodeTable.end]
  private var known: [[Int]: UInt16] = [[]: 0]

  mutating func chain(_ rows: [Int]) -> UInt16 {
    if let chain = known[rows] { return chain }
    let chain = UInt16(chains.count)
    chains += rows.map { UInt16($0) } + [OpcodeTable.end]
    known[rows] = chain
    return chain
  }
}
