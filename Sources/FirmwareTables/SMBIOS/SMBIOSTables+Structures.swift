extension SMBIOSTables {
  private enum Handle {
    static let bios: UInt16 = 0x0000
    static let system: UInt16 = 0x0100
    static let chassis: UInt16 = 0x0300
    static let processor: UInt16 = 0x0400
    static let memoryArray: UInt16 = 0x1000
    static let memoryDevice: UInt16 = 0x1100
    static let mappedAddress: UInt16 = 0x1300
    static let bootInformation: UInt16 = 0x2000
    static let end: UInt16 = 0x7F00
    /// No error information is provided.
    static let none: UInt16 = 0xFFFE
    static let noCache: UInt16 = 0xFFFF
  }

  private static let vendor = "Martlet"
  private static let unknown: UInt8 = 2

  static func structures(
    _ platform: PlatformDescription, _ lowByteCount: UInt64, _ highByteCount: UInt64
  ) -> [SMBIOSStructure] {
    let total = lowByteCount &+ highByteCount
    var mapped = [mappedAddress(0, 0..<lowByteCount)]
    if highByteCount > 0 {
      let start: UInt64 = 0x1_0000_0000
      mapped.append(mappedAddress(1, start..<(start &+ min(highByteCount, 1 << 51))))
    }
    return [
      bios, system(identifier: platform.identifier), chassis, processor(count: platform.cpuCount),
      memoryArray(total), memoryDevice(total),
    ] + mapped + [bootInformation, SMBIOSStructure(type: 127, handle: Handle.end)]
  }

  private static var bios: SMBIOSStructure {
    var structure = SMBIOSStructure(type: 0, handle: Handle.bios)
    structure.string(vendor)
    structure.string("1")
    structure.word(0xF000)  // segment
    structure.string("01/01/2026")
    structure.byte(0)  // ROM of 64 KiB
    structure.quadword(1 << 3)  // characteristics are not given
    structure.byte(0, 1 << 4)  // extension: a virtual machine
    structure.byte(1, 0, 0xFF, 0xFF)
    return structure
  }

  private static func system(identifier: [UInt8]) -> SMBIOSStructure {
    var structure = SMBIOSStructure(type: 1, handle: Handle.system)
    structure.string(vendor)
    structure.string("Martlet Virtual Machine")
    structure.string("1")
    structure.noString()  // serial number
    // The first three fields of a UUID are little-endian here (DSP0134 §7.2.1).
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15]
    structure.bytes(order.map { identifier[$0] })
    structure.byte(6)  // woken by the power switch
    structure.noString()
    structure.noString()
    return structure
  }

  private static var chassis: SMBIOSStructure {
    var structure = SMBIOSStructure(type: 3, handle: Handle.chassis)
    structure.string(vendor)
    structure.byte(1)  // type: other
    structure.string("1")
    structure.noString()
    structure.noString()
    structure.byte(3, 3, 3, unknown)  // states: safe; security: unknown
    structure.doubleword(0)
    structure.byte(0, 0, 0, 0)  // height, cords, contained elements
    structure.noString()
    return structure
  }

  private static func processor(count: Int) -> SMBIOSStructure {
    let short = UInt8(clamping: count)
    let long = UInt16(clamping: count)
    var structure = SMBIOSStructure(type: 4, handle: Handle.processor)
    structure.string("CPU 0")
    structure.byte(3, 1)  // central processor, other family
    structure.string(vendor)
    structure.quadword(0)
    structure.string("1")
    structure.byte(0)
    for _ in 0..<3 { structure.word(0) }  // external clock, maximum and current speed
    structure.byte(0x41, 1)  // populated and enabled; upgrade: other
    for _ in 0..<3 { structure.word(Handle.noCache) }
    for _ in 0..<3 { structure.noString() }
    structure.byte(short, short, short)
    structure.word(1 << 2)  // 64-bit capable
    structure.word(1)
    for _ in 0..<3 { structure.word(long) }
    return structure
  }

  private static func memoryArray(_ total: UInt64) -> SMBIOSStructure {
    var structure = SMBIOSStructure(type: 16, handle: Handle.memoryArray)
    structure.byte(1, 3, 3)  // location: other, system memory, no error correction
    let kibibytes = total >> 10
    structure.doubleword(kibibytes < 0x8000_0000 ? UInt32(kibibytes) : 0x8000_0000)
    structure.word(Handle.none)
    structure.word(1)  // one device
    structure.quadword(kibibytes < 0x8000_0000 ? 0 : total)
    return structure
  }

  private static func memoryDevice(_ total: UInt64) -> SMBIOSStructure {
    let mebibytes = total >> 20
    var structure = SMBIOSStructure(type: 17, handle: Handle.memoryDevice)
    structure.word(Handle.memoryArray)
    structure.word(Handle.none)
    structure.word(0xFFFF)  // widths unknown
    structure.word(0xFFFF)
    structure.word(mebibytes < 0x7FFF ? UInt16(mebibytes) : 0x7FFF)
    structure.byte(9, 0)  // DIMM, no set
    structure.string("DIMM 0")
    structure.noString()
    structure.byte(7)  // RAM
    structure.word(1 << 1)  // detail: other
    structure.word(0)
    structure.string(vendor)
    for _ in 0..<3 { structure.noString() }
    structure.byte(0)
    structure.doubleword(mebibytes < 0x7FFF ? 0 : UInt32(clamping: mebibytes) & 0x7FFF_FFFF)
    for _ in 0..<4 { structure.word(0) }  // configured speed and voltages
    return structure
  }

  private static func mappedAddress(_ index: UInt16, _ range: Range<UInt64>) -> SMBIOSStructure {
    var structure = SMBIOSStructure(type: 19, handle: Handle.mappedAddress + index)
    let last = (range.upperBound - 1) >> 10
    let fits = last < 0xFFFF_FFFF
    structure.doubleword(fits ? UInt32(range.lowerBound >> 10) : 0xFFFF_FFFF)
    structure.doubleword(fits ? UInt32(last) : 0xFFFF_FFFF)
    structure.word(Handle.memoryArray)
    structure.byte(1)
    structure.quadword(fits ? 0 : range.lowerBound)
    structure.quadword(fits ? 0 : range.upperBound - 1)
    return structure
  }

  private static var bootInformation: SMBIOSStructure {
    var structure = SMBIOSStructure(type: 32, handle: Handle.bootInformation)
    structure.byte(0, 0, 0, 0, 0, 0, 0)  // no errors detected
    return structure
  }
}
