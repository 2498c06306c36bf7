public import X86

/// Why a machine stopped.
public enum ExitReason: Hashable, Sendable {
  /// The guest switched itself off.
  case poweredOff
  /// The guest reset its machine, and the configuration says to stop then.
  case reset
  /// The guest reported its own panic.
  case guestPanic
  /// A virtual CPU met a fault while it delivered a double fault. With its registers.
  case tripleFault(RegisterDump)
  /// `VirtualMachine.stop()`.
  case stopped
  /// The host or the engine could not go on. The text says what the user can do.
  case hostError(String)
}

extension ExitReason: CustomStringConvertible {
  public var description: String {
    switch self {
    case .poweredOff: "the guest powered off"
    case .reset: "the guest reset its machine"
    case .guestPanic: "the guest's kernel panicked"
    case .tripleFault(let dump): "triple fault on CPU \(dump.processor)"
    case .stopped: "the machine was stopped"
    case .hostError(let reason): reason
    }
  }
}

/// The registers of one virtual CPU, for people to read.
public struct RegisterDump: Hashable, Sendable {
  /// The position of the virtual CPU, from 0.
  public var processor: Int
  public var state: VirtualCPUState

  public init(processor: Int, state: VirtualCPUState) {
    self.processor = processor
    self.state = state
  }
}

extension RegisterDump: CustomStringConvertible {
  /// Several lines, in hexadecimal.
  public var description: String {
    let general = GeneralRegister.allCases.map { register in
      "\(register)".padded(3) + " " + hex(state.generalRegisters[Int(register.rawValue)], 16)
    }
    var lines = ["CPU \(processor):"]
    for row in 0..<4 { lines.append(general[4 * row..<4 * row + 4].joined(separator: "  ")) }
    lines.append("rip \(hex(state.instructionPointer, 16))  rfl \(hex(state.flags.rawValue, 16))")
    let named = zip(SegmentRegister.allCases.map { "\($0)" }, state.segments)
    let system = [("tr", state.taskRegister), ("ldt", state.localDescriptorTable)]
    for (name, segment) in Array(named) + system {
      lines.append(
        """
        \(name.padded(3)) \(hex(UInt64(segment.selector), 4)) base \(hex(segment.base, 16)) \
        limit \(hex(UInt64(segment.limit), 8)) rights \(hex(UInt64(segment.attributes), 5))
        """)
    }
    for (name, table) in [
      ("gdt", state.globalDescriptorTable), ("idt", state.interruptDescriptorTable),
    ] {
      lines.append("\(name)      base \(hex(table.base, 16)) limit \(hex(UInt64(table.limit), 4))")
    }
    lines.append(
      """
      cr0 \(hex(state.cr0.rawValue, 16))  cr2 \(hex(state.cr2, 16))  \
      cr3 \(hex(state.cr3, 16))  cr4 \(hex(state.cr4.rawValue, 16))
      """)
    lines.append("efer \(hex(state.efer.rawValue, 16))")
    return lines.joined(separator: "\n")
  }
}

private func hex(_ value: UInt64, _ digits: Int) -> String {
  let text = String(value, radix: 16)
  return String(repeating: "0", count: max(0, digits - text.count)) + text
}

extension String {
  fileprivate func padded(_ width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - count))
  }
}
