import Foundation

/// The executable segments of an ELF file.
struct ELFText {
  var bytes: [UInt8] = []

  init(path: String) throws {
    let file = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    func number(_ offset: Int, _ size: Int) -> Int {
      (0..<size).reduce(0) { $0 | Int(file[offset + $1]) << (8 * $1) }
    }
    let headers = number(32, 8)
    for index in 0..<number(56, 2) {
      let header = headers + index * number(54, 2)
      // PT_LOAD, PF_X
      guard number(header, 4) == 1, number(header + 4, 4) & 1 != 0 else { continue }
      let offset = number(header + 8, 8)
      bytes += file[offset..<offset + number(header + 32, 8)]
    }
  }
}
