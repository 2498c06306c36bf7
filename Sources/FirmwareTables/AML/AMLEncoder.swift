/// Turns AML terms into byte code (ACPI 6.5 §20.2).
enum AMLEncoder {
  private enum Opcode {
    static let zero: UInt8 = 0x00
    static let one: UInt8 = 0x01
    static let name: UInt8 = 0x08
    static let byte: UInt8 = 0x0A
    static let word: UInt8 = 0x0B
    static let doubleword: UInt8 = 0x0C
    static let string: UInt8 = 0x0D
    static let quadword: UInt8 = 0x0E
    static let scope: UInt8 = 0x10
    static let buffer: UInt8 = 0x11
    static let package: UInt8 = 0x12
    static let method: UInt8 = 0x14
    static let `return`: UInt8 = 0xA4
    static let device: [UInt8] = [0x5B, 0x82]
  }

  static func encode(_ objects: [AMLObject]) -> [UInt8] { objects.flatMap(encode) }

  static func encode(_ object: AMLObject) -> [UInt8] {
    switch object {
    case .scope(let path, let children):
      [Opcode.scope] + withLength(nameString(path) + encode(children))
    case .device(let name, let children):
      Opcode.device + withLength(nameString(name) + encode(children))
    case .name(let name, let value):
      [Opcode.name] + nameString(name) + encode(value)
    case .constantMethod(let name, let argumentCount, let value):
      [Opcode.method]
        + withLength(nameString(name) + [argumentCount & 7, Opcode.return] + encode(value))
    }
  }

  static func encode(_ value: AMLValue) -> [UInt8] {
    switch value {
    case .integer(let number): integer(number)
    case .string(let text): [Opcode.string] + text.utf8.filter { $0 != 0 && $0 < 0x80 } + [0]
    case .buffer(let bytes): buffer(bytes)
    case .package(let elements):
      [Opcode.package]
        + withLength([UInt8(truncatingIfNeeded: elements.count)] + elements.flatMap(encode))
    case .eisaID(let text): [Opcode.doubleword] + eisaID(text)
    case .resources(let resources): buffer(resources.flatMap(\.bytes) + [0x79, 0])
    }
  }

  private static func integer(_ number: UInt64) -> [UInt8] {
    var writer = ByteWriter()
    switch number {
    case 0: writer.append(Opcode.zero)
    case 1: writer.append(Opcode.one)
    case ...0xFF:
      writer.append([Opcode.byte, UInt8(number)])
    case ...0xFFFF:
      writer.append(Opcode.word)
      writer.append(littleEndian: UInt16(number))
    case ...0xFFFF_FFFF:
      writer.append(Opcode.doubleword)
      writer.append(littleEndian: UInt32(number))
    default:
      writer.append(Opcode.quadword)
      writer.append(littleEndian: number)
    }
    return writer.bytes
  }

  private static func buffer(_ bytes: [UInt8]) -> [UInt8] {
    [Opcode.buffer] + withLength(integer(UInt64(bytes.count)) + bytes)
  }

  /// PkgLength (§20.2.4), which counts its own bytes, followed by `content`.
  private static func withLength(_ content: [UInt8]) -> [UInt8] {
    for extraBytes in 0...3 {
      let total = content.count + 1 + extraBytes
      let limit = extraBytes == 0 ? 1 << 6 : 1 << (4 + 8 * extraBytes)
      guard total < limit else { continue }
      guard extraBytes > 0 else { return [UInt8(total)] + content }
      let lead = UInt8(extraBytes << 6 | total & 0xF)
      let rest = (0..<extraBytes).map { UInt8(truncatingIfNeeded: total >> (4 + 8 * $0)) }
      return [lead] + rest + content
    }
    preconditionFailure("AML packages hold less than 256 MiB")
  }

  /// A path of name segments such as `\_SB.COM1` (§20.2.2).
  private static func nameString(_ path: String) -> [UInt8] {
    let isAbsolute = path.hasPrefix("\\")
    let segments = path.drop { $0 == "\\" }.split(separator: ".").map { segment in
      var field = Array(segment.utf8.prefix(4))
      while field.count < 4 { field.append(UInt8(ascii: "_")) }
      return field
    }
    let prefix: [UInt8]
    switch segments.count {
    case 0: prefix = [0]
    case 1: prefix = []
    case 2: prefix = [0x2E]
    default: prefix = [0x2F, UInt8(truncatingIfNeeded: segments.count)]
    }
    return (isAbsolute ? [UInt8(ascii: "\\")] : []) + prefix + segments.joined()
  }

  /// Three letters of five bits and four hex digits, most significant byte first (§19.3.4).
  private static func eisaID(_ text: String) -> [UInt8] {
    let characters = Array(text.utf8)
    precondition(characters.count == 7, "an EISA identifier has seven characters")
    let letters = characters[..<3].reduce(UInt32(0)) { $0 << 5 | UInt32($1 & 0x1F) }
    let digits = UInt32(text.suffix(4), radix: 16) ?? 0
    let number = letters << 16 | digits
    return (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * $0)) }
  }
}

extension AMLResource {
  /// Address space descriptors (§6.4.3.5): first and last address are fixed, and passed on.
  private enum Window {
    static let word: UInt8 = 0x88
    static let doubleword: UInt8 = 0x87
    static let quadword: UInt8 = 0x8A
    static let memory: UInt8 = 0
    static let ports: UInt8 = 1
    static let buses: UInt8 = 2
    static let isFixed: UInt8 = 0x0C
    static let isWritable: UInt8 = 1
    static let isWhole: UInt8 = 3
  }

  private static func window<Field: FixedWidthInteger & UnsignedInteger>(
    _ tag: UInt8, _ kind: UInt8, _ flags: UInt8, first: Field, last: Field
  ) -> [UInt8] {
    var body = ByteWriter()
    body.append([kind, Window.isFixed, flags])
    body.append(littleEndian: Field(0))  // granularity
    body.append(littleEndian: first)
    body.append(littleEndian: last)
    body.append(littleEndian: Field(0))  // translation
    body.append(littleEndian: last - first + 1)
    return [tag, UInt8(body.count), 0] + body.bytes
  }

  /// The small or large resource data type (§6.4.2, §6.4.3).
  var bytes: [UInt8] {
    var writer = ByteWriter()
    switch self {
    case .ports(let first, let count):
      writer.append([0x47, 0x01])
      writer.append(littleEndian: first)
      writer.append(littleEndian: first)
      writer.append([1, count])
    case .interrupt(let number):
      writer.append(0x22)
      writer.append(littleEndian: UInt16(1) << UInt16(number & 15))
    case .sharedInterrupt(let number):
      // Extended interrupt descriptor: a consumer's; level, active-high, shared; one number.
      writer.append([0x89, 6, 0, 0b01001, 1])
      writer.append(littleEndian: number)
    case .memory(let first, let count, let isWritable):
      writer.append([0x86, 9, 0, isWritable ? 1 : 0])
      writer.append(littleEndian: first)
      writer.append(littleEndian: count)
    case .busWindow(let buses):
      return Self.window(
        Window.word, Window.buses, 0, first: UInt16(buses.lowerBound),
        last: UInt16(buses.upperBound))
    case .portWindow(let ports):
      return Self.window(
        Window.word, Window.ports, Window.isWhole, first: ports.lowerBound,
        last: ports.upperBound)
    case .memoryWindow(let addresses):
      return Self.window(
        Window.doubleword, Window.memory, Window.isWritable, first: addresses.lowerBound,
        last: addresses.upperBound)
    case .highMemoryWindow(let addresses):
      return Self.window(
        Window.quadword, Window.memory, Window.isWritable, first: addresses.lowerBound,
        last: addresses.upperBound)
    }
    return writer.bytes
  }
}
