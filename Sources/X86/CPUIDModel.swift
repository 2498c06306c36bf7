/// A processor that guests can be given.
public enum CPUIDModel: String, Sendable, CaseIterable {
  /// A 64-bit AMD processor of the K8 line, as QEMU's qemu64: for it, Linux assumes the fewest flaws and
  /// reads the fewest model-specific registers. Its name is the same everywhere; its instructions are those
  /// of the host that engines support (AVX, AVX2, FMA and F16C among them, which C libraries choose their
  /// functions by), so a guest can only move to a host that has them too.
  case conservative64 = "conservative64"
  /// A 32-bit Intel processor of the first Atom line, with newer instructions. That line executes in order:
  /// Linux takes it to have none of the flaws of speculation, and maps itself into every process.
  case i686
  /// The host's name, family and brand, with those of its features that engines support.
  case host

  /// All that CPUID answers on a machine of `cpuCount` processors, hypervisor leaves apart.
  ///
  /// - Parameter offersAVX: whether the engine has XSAVE and the 256-bit registers.
  public func table(host: HostCPUID, cpuCount: Int, offersAVX: Bool = false) -> CPUIDTable {
    let features = Features(self, host, isMultiple: cpuCount > 1, offersAVX: offersAVX)
    let name = Name(self, host)
    let count = UInt32(clamping: cpuCount)
    var table = CPUIDTable(entries: [])
    addBasicLeaves(to: &table, name, features, count)
    addTopology(to: &table, count)
    if features.has(features.ecx1, 26) { addStateLeaves(to: &table, features) }
    addExtendedLeaves(to: &table, name, features, count)
    return table
  }

  private func addBasicLeaves(
    to table: inout CPUIDTable, _ name: Name, _ features: Features, _ count: UInt32
  ) {
    let vendor = name.vendor
    table.set(CPUIDEntry(leaf: 0, eax: 0xD, ebx: vendor[0], ecx: vendor[2], edx: vendor[1]))
    // CLFLUSH lines of 8 × 8 bytes; the number of logical processors.
    table.set(
      CPUIDEntry(
        leaf: 1, eax: name.signature, ebx: 8 << 8 | min(count, 255) << 16, ecx: features.ecx1,
        edx: features.edx1))
    if !name.isAMD { addIntelCaches(to: &table, count) }
    // The APIC timer always runs.
    table.set(CPUIDEntry(leaf: 6, eax: 1 << 2))
    table.set(
      CPUIDEntry(
        leaf: 7, isIndexed: true, ebx: features.ebx7, ecx: features.ecx7, edx: features.edx7))
  }

  /// Leaves 2 and 4: 32 KiB of 8 ways for data and for code, 2 MiB of 16 ways for both.
  private func addIntelCaches(to table: inout CPUIDTable, _ count: UInt32) {
    let cores = min(count, 64) - min(count, 1)
    let caches: [(type: UInt32, level: UInt32, ways: UInt32, sets: UInt32)] = [
      (1, 1, 8, 64), (2, 1, 8, 64), (3, 2, 16, 2048), (0, 0, 0, 0),
    ]
    // "Leaf 4 has the caches", and no prefetch.
    table.set(CPUIDEntry(leaf: 2, eax: 0x0000_0001, edx: 0x0000_00FF))
    for (index, cache) in caches.enumerated() {
      var entry = CPUIDEntry(leaf: 4, subleaf: UInt32(index), isIndexed: true)
      if cache.type != 0 {
        entry.eax = cache.type | cache.level << 5 | 1 << 8 | cores << 26
        entry.ebx = 63 | (cache.ways - 1) << 22
        entry.ecx = cache.sets - 1
      }
      table.set(entry)
    }
  }

  /// Leaf 0xB, which x2APICs come with: one package of cores of one thread. The engine adds the ids.
  private func addTopology(to table: inout CPUIDTable, _ count: UInt32) {
    let levels: [(shift: UInt32, count: UInt32, type: UInt32)] = [
      (0, 1, 1), (Self.idBits(count), count, 2), (0, 0, 0),
    ]
    for (index, level) in levels.enumerated() {
      let number = UInt32(index)
      table.set(
        CPUIDEntry(
          leaf: 0xB, subleaf: number, isIndexed: true, eax: level.shift, ebx: level.count,
          ecx: level.type << 8 | number))
    }
  }

  /// How many bits of an APIC id tell the CPUs of a package apart.
  private static func idBits(_ count: UInt32) -> UInt32 {
    UInt32(UInt32.bitWidth - (max(count, 1) - 1).leadingZeroBitCount)
  }

  /// Leaf 0xD: x87, SSE and perhaps AVX state.
  private func addStateLeaves(to table: inout CPUIDTable, _ features: Features) {
    let hasAVX = features.has(features.ecx1, 28)
    let size: UInt32 = hasAVX ? 832 : 576
    table.set(
      CPUIDEntry(leaf: 0xD, isIndexed: true, eax: hasAVX ? 7 : 3, ebx: size, ecx: size))
    table.set(
      CPUIDEntry(leaf: 0xD, subleaf: 1, isIndexed: true, eax: features.stateFeatures, ebx: size))
    if hasAVX {
      table.set(CPUIDEntry(leaf: 0xD, subleaf: 2, isIndexed: true, eax: 256, ebx: 576))
    }
  }

  private func addExtendedLeaves(
    to table: inout CPUIDTable, _ name: Name, _ features: Features, _ count: UInt32
  ) {
    let first: UInt32 = 0x8000_0000
    let vendor = name.isAMD ? name.vendor : [0, 0, 0]
    table.set(
      CPUIDEntry(
        leaf: first, eax: first + 0x21, ebx: vendor[0], ecx: vendor[2], edx: vendor[1]))
    // AMD repeats here what leaf 1 says of the features that both architectures had first.
    let repeated = name.isAMD ? features.edx1 & 0x0183_F3FF : 0
    let several: UInt32 = name.isAMD && count > 1 ? 1 << 1 : 0
    table.set(
      CPUIDEntry(
        leaf: first + 1, eax: name.isAMD ? name.signature : 0,
        ecx: features.ecxExtended | several, edx: features.edxExtended | repeated))
    for part in 0..<3 {
      let words = name.brand[(part * 4)..<(part * 4 + 4)]
      let at = words.startIndex
      table.set(
        CPUIDEntry(
          leaf: first + 2 + UInt32(part), eax: words[at], ebx: words[at + 1], ecx: words[at + 2],
          edx: words[at + 3]))
    }
    if name.isAMD {
      // 64 KiB of 2 ways for data and for code; 512 KiB of 16 ways; TLBs of 512 entries.
      table.set(
        CPUIDEntry(
          leaf: first + 5, eax: 0x01FF_01FF, ebx: 0x01FF_01FF, ecx: 0x4002_0140, edx: 0x4002_0140))
      table.set(CPUIDEntry(leaf: first + 6, ebx: 0x4200_4200, ecx: 0x0200_8140))
    } else {
      table.set(CPUIDEntry(leaf: first + 6, ecx: 0x0800_8040))
    }
    // The time-stamp counter is invariant.
    table.set(CPUIDEntry(leaf: first + 7, edx: 1 << 8))
    let sizes: UInt32 = self == .i686 ? 0x2024 : 0x302E
    let cores =
      name.isAMD ? min(count, 256) - min(count, 1) | Self.idBits(count) << 12 : 0
    table.set(
      CPUIDEntry(leaf: first + 8, eax: sizes, ebx: features.ebxSizes, ecx: cores))
    table.set(
      CPUIDEntry(
        leaf: first + 0x21, eax: Features.eaxSecurity, ecx: Features.ecxSecurity))
  }
}

/// Who made the processor, and which it is.
private struct Name {
  /// In the order of the text: EBX, EDX, ECX of leaf 0.
  let vendor: [UInt32]
  let signature: UInt32
  /// The brand string's 48 bytes.
  let brand: [UInt32]

  var isAMD: Bool { vendor == Self.words("AuthenticAMD", count: 3) }

  init(_ model: CPUIDModel, _ host: HostCPUID) {
    switch model {
    case .conservative64:
      vendor = Self.words("AuthenticAMD", count: 3)
      // Family 0xF, model 0x6B, stepping 1.
      signature = 0x0006_0FB1
    case .i686:
      vendor = Self.words("GenuineIntel", count: 3)
      // Family 6, model 28, stepping 10.
      signature = 0x0001_06CA
    case .host:
      let zero = host.entry(leaf: 0)
      vendor = [zero.ebx, zero.edx, zero.ecx]
      signature = host.entry(leaf: 1).eax
    }
    var brand = Self.words("Martlet Virtual CPU", count: 12)
    if model == .host, host.entry(leaf: 0x8000_0002).eax != 0 {
      brand = (2...4).flatMap { part -> [UInt32] in
        let entry = host.entry(leaf: 0x8000_0000 + UInt32(part))
        return [entry.eax, entry.ebx, entry.ecx, entry.edx]
      }
    }
    self.brand = brand
  }

  private static func words(_ text: String, count: Int) -> [UInt32] {
    var words = [UInt32](repeating: 0, count: count)
    for (index, byte) in text.utf8.prefix(count * 4).enumerated() {
      words[index / 4] |= UInt32(byte) << UInt32(index % 4 * 8)
    }
    return words
  }
}

/// The feature words.
private struct Features {
  private(set) var edx1: UInt32
  private(set) var ecx1: UInt32
  private(set) var ebx7: UInt32
  private(set) var ecx7: UInt32
  private(set) var edx7: UInt32
  private(set) var ecxExtended: UInt32
  private(set) var edxExtended: UInt32
  /// Leaf 0x80000008, EBX.
  private(set) var ebxSizes: UInt32
  /// Leaf 0xD, subleaf 1, EAX.
  private(set) var stateFeatures: UInt32 = 0

  init(_ model: CPUIDModel, _ host: HostCPUID, isMultiple: Bool, offersAVX: Bool) {
    let one = host.entry(leaf: 1)
    let seven = host.entry(leaf: 7)
    let extended = host.entry(leaf: 0x8000_0001)

    // FPU VME DE PSE TSC MSR PAE MCE CX8 SEP MTRR PGE MCA CMOV PAT PSE36 CLFLUSH MMX FXSR SSE SSE2.
    edx1 = one.edx & Self.bits(0...8, 11...17, 19...19, 23...26)
    // What the machine brings and not the host: APIC; HTT.
    edx1 |= 1 << 9 | (isMultiple ? 1 << 28 : 0)
    // SSE3 PCLMUL SSSE3 CX16 PCID SSE4.1 SSE4.2 MOVBE POPCNT AES RDRAND.
    ecx1 = one.ecx & Self.bits(0...1, 9...9, 13...13, 17...17, 19...20, 22...23, 25...25, 30...30)
    // Of the machine: x2APIC, TSC deadline, hypervisor.
    ecx1 |= 1 << 21 | 1 << 24 | 1 << 31
    // FSGSBASE BMI1 SMEP BMI2 ERMS INVPCID RDSEED ADX SMAP CLFLUSHOPT CLWB SHA.
    ebx7 =
      seven.ebx & Self.bits(0...0, 3...3, 7...10, 18...20, 23...24, 29...29)
    // UMIP RDPID; FSRM.
    ecx7 = seven.ecx & Self.bits(2...2, 22...22)
    edx7 = seven.edx & Self.bits(4...4)
    // LAHF64 ABM PREFETCHW; SYSCALL NX PDPE1GB RDTSCP LM.
    ecxExtended = extended.ecx & Self.bits(0...0, 5...5, 8...8)
    edxExtended = extended.edx & Self.bits(11...11, 20...20, 26...27, 29...29)

    // FXSAVE writes the error pointers in any case: XSAVEERPTR on AMD, always so on Intel. No store bypass
    // and no branch type confusion: SSB_NO, BTC_NO.
    let savesPointers =
      host.entry(leaf: 0).ebx != Self.firstWordOfAMD
      || host.entry(leaf: 0x8000_0008).ebx & 1 << 2 != 0
    ebxSizes = 1 << 26 | 1 << 29 | (savesPointers ? 1 << 2 : 0)

    if offersAVX { offerState(model, host) }
    if model == .i686 { dropLongMode() }
  }

  /// Leaf 0x80000021, EAX: LFENCE always serializes; a null selector clears base and limit; automatic IBRS,
  /// which costs an engine nothing and spares guests their retpolines; not affected by speculative return
  /// stack overflow (SRSO_NO).
  static let eaxSecurity: UInt32 = 1 << 2 | 1 << 6 | 1 << 8 | 1 << 29
  /// ECX: not affected by transient scheduler attacks (TSA_SQ_NO, TSA_L1_NO).
  static let ecxSecurity: UInt32 = 1 << 1 | 1 << 2
  /// "Auth" of "AuthenticAMD".
  private static let firstWordOfAMD: UInt32 = 0x6874_7541

  /// XSAVE, AVX and what builds upon them, in both 64-bit models, as far as the host has them.
  private mutating func offerState(_ model: CPUIDModel, _ host: HostCPUID) {
    let one = host.entry(leaf: 1)
    guard model != .i686, has(one.ecx, 26) else { return }
    ecx1 |= 1 << 26
    // XSAVEOPT XSAVEC XGETBV1.
    stateFeatures = host.entry(leaf: 0xD, subleaf: 1).eax & 7
    // The host's system must keep the registers too: OSXSAVE.
    guard has(one.ecx, 27), has(one.ecx, 28) else { return }
    // FMA AVX F16C; AVX2; VAES VPCLMULQDQ.
    ecx1 |= one.ecx & Self.bits(12...12, 28...29)
    let seven = host.entry(leaf: 7)
    ebx7 |= seven.ebx & Self.bits(5...5)
    guard has(ebx7, 5) else { return }
    ecx7 |= seven.ecx & Self.bits(9...10)
  }

  private mutating func dropLongMode() {
    // CX16 PCID; FSGSBASE INVPCID; LAHF64; SYSCALL PDPE1GB LM.
    ecx1 &= ~Self.bits(13...13, 17...17)
    ebx7 &= ~Self.bits(0...0, 10...10)
    ecxExtended &= ~Self.bits(0...0)
    edxExtended &= ~Self.bits(11...11, 26...26, 29...29)
  }

  func has(_ word: UInt32, _ bit: UInt32) -> Bool { word >> bit & 1 != 0 }

  private static func bits(_ ranges: ClosedRange<UInt32>...) -> UInt32 {
    var word: UInt32 = 0
    for range in ranges { for bit in range { word |= 1 << bit } }
    return word
  }
}
