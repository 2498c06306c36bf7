import CHost
import Glibc
import HostSystem
import X86
import X86Decoder

/// Contingency: vector and x87 instructions run on the host with FXRSTOR/FXSAVE around them.
@safe struct HostOp {
  var stub: UnsafeRawPointer
  var size: UInt16
  var writes: Bool
  var aligned: Bool
  var gpr: UInt8  // 255 none
  var flags: Bool
  var isX87: Bool
  var rcx: Bool
}

@safe final class HostUnit {
  let frame: UnsafeMutableRawPointer  // 0: fx area 512; 512: rax,rcx,flags; 576: buffer
  let code: UnsafeMutablePointer<UInt8>
  var codeCount = 0
  let ops: UnsafeMutablePointer<HostOp>
  var opCount = 0
  var known: [[UInt8]: Int] = [:]
  init() {
    unsafe frame = UnsafeMutableRawPointer.allocate(byteCount: 2048, alignment: 64)
    unsafe memset(frame, 0, 2048)
    unsafe frame.storeBytes(of: 0x37F, as: UInt16.self)
    unsafe frame.storeBytes(of: 0x1F80, toByteOffset: 24, as: UInt32.self)
    unsafe code = mmap(
      nil, 16 << 20, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
      .assumingMemoryBound(to: UInt8.self)
    unsafe ops = .allocate(capacity: 65536)
  }
  func emit(_ b: UInt8...) { for x in b { unsafe code[codeCount] = x; codeCount += 1 } }
}

extension CPU {
  func lowerHost(_ i: Instruction, _ micro: inout MicroInstruction) {
    let h = env.host
    micro.handler = .hostExecuted
    let kind = i.operands[1].number
    var bytes: [UInt8] = []
    var gpr: UInt8 = 255
    if i.mandatoryPrefix != 0 { bytes.append(i.mandatoryPrefix) }
    var rex: UInt8 = 0
    if i.prefixes.contains(.rexW) { rex |= 8 }
    var reg = i.reg
    var rm = i.rm
    if kind == 1 { gpr = reg; reg = 0 }
    if kind == 2 { gpr = rm; rm = 0 }
    if kind == 3 { gpr = 0 }
    if i.hasMemoryOperand { rm = 6 }
    if reg & 8 != 0 { rex |= 4 }
    if rm & 8 != 0 { rex |= 1 }
    if rex != 0 { bytes.append(rex | 0x40) }
    switch i.map {
    case .primary: break
    case .map0F: bytes.append(0x0F)
    case .map0F38: bytes += [0x0F, 0x38]
    case .map0F3A: bytes += [0x0F, 0x3A]
    }
    bytes.append(i.opcode)
    if i.hasModRM { bytes.append((i.hasMemoryOperand ? 0 : 0xC0) | (reg & 7) << 3 | (rm & 7)) }
    if i.immediate2 == 1 { bytes.append(UInt8(truncatingIfNeeded: i.immediate)) }
    var key = bytes
    key.append(gpr)
    if let known = h.known[key] { micro.immediate = UInt64(known); return }
    let start = h.codeCount
    // push rbx; mov rbx, rdi; sub rsp,16; stmxcsr [rsp]; fxrstor64 [rbx]
    h.emit(
      0x53, 0x48, 0x89, 0xFB, 0x48, 0x83, 0xEC, 0x10, 0x0F, 0xAE, 0x1C, 0x24, 0x48, 0x0F, 0xAE, 0x0B
    )
    // push [rbx+528]; popfq; mov rax,[rbx+512]; mov rcx,[rbx+520]; mov rdx,[rbx+536]; lea rsi,[rbx+576]
    h.emit(
      0xFF, 0xB3, 0x10, 2, 0, 0, 0x9D, 0x48, 0x8B, 0x83, 0, 2, 0, 0, 0x48, 0x8B, 0x8B, 8, 2, 0, 0,
      0x48, 0x8B, 0x93, 0x18, 2, 0, 0, 0x48, 0x8D, 0xB3, 0x40, 2, 0, 0)
    for b in bytes { h.emit(b) }
    // mov [rbx+512],rax; mov [rbx+520],rcx; pushfq; pop [rbx+528]; fxsave64 [rbx]; fninit; ldmxcsr [rsp]; add rsp,16; pop rbx; ret
    h.emit(
      0x48, 0x89, 0x83, 0, 2, 0, 0, 0x48, 0x89, 0x8B, 8, 2, 0, 0, 0x9C, 0x8F, 0x83, 0x10, 2, 0, 0,
      0x48, 0x0F, 0xAE, 0x03, 0xDB, 0xE3, 0x0F, 0xAE, 0x14, 0x24, 0x48, 0x83, 0xC4, 0x10, 0x5B, 0xC3
    )
    unsafe h.ops[h.opCount] = unsafe HostOp(
      stub: UnsafeRawPointer(h.code + start),
      size: i.operands[0].kind == .memory && i.hasMemoryOperand ? i.operands[0].byteCount : 0,
      writes: i.operands[0].access == .write, aligned: i.traits.contains(.alignedOperand), gpr: gpr,
      flags: i.traits.contains(.writesFlags), isX87: i.traits.contains(.x87),
      rcx: i.traits.contains(.readsFlags))
    micro.immediate = UInt64(h.opCount)
    h.known[key] = h.opCount
    h.opCount += 1
  }

  func executeOnHost(_ op: Micro) -> Status {
    let h = env.host
    let o = unsafe h.ops[Int(op.immediate)]
    if state.cr0 & CR0.taskSwitched.rawValue != 0 { return raise(.deviceNotAvailable) }
    if state.cr0 & CR0.emulation.rawValue != 0 {
      return raise(o.isX87 ? .deviceNotAvailable : .invalidOpcode)
    }
    let buffer = unsafe h.frame + 576
    let address = o.size > 0 ? effectiveAddress(op) : 0
    if o.size > 0 {
      if o.aligned, (address &+ state.linearBase[Int(op.segment)]) & 15 != 0 {
        return raise(.generalProtection, 0)
      }
      if !o.writes {
        if o.size == 16, let f = unsafe fastHost(op.segment, address, 16, isWrite: false) {
          unsafe buffer.copyMemory(from: f.host, byteCount: 16)
        } else if unsafe !readBytes(op.segment, address, Int(o.size), into: buffer) {
          return .stop
        }
      }
    }
    unsafe h.frame.storeBytes(of: arithmeticFlags | 2, toByteOffset: 528, as: UInt64.self)
    if o.gpr != 255 {
      unsafe h.frame.storeBytes(of: register(at: o.gpr * 8), toByteOffset: 512, as: UInt64.self)
    }
    if o.rcx {
      unsafe h.frame.storeBytes(of: self[.rax], toByteOffset: 512, as: UInt64.self)
      unsafe h.frame.storeBytes(of: self[.rdx], toByteOffset: 536, as: UInt64.self)
      unsafe h.frame.storeBytes(of: self[.rcx], toByteOffset: 520, as: UInt64.self)
    }
    let f = unsafe unsafeBitCast(
      o.stub, to: (@convention(c) (UnsafeMutableRawPointer) -> Void).self)
    unsafe f(h.frame)
    if o.writes, o.size > 0 {
      if unsafe !writeBytes(op.segment, address, Int(o.size), from: buffer) { return .stop }
    }
    if o.gpr != 255 {
      setRegister(at: o.gpr * 8, unsafe h.frame.load(fromByteOffset: 512, as: UInt64.self))
    }
    if o.rcx { setRegister(at: 8, unsafe h.frame.load(fromByteOffset: 520, as: UInt64.self)) }
    if o.flags { arithmeticFlags = unsafe h.frame.load(fromByteOffset: 528, as: UInt64.self) }
    return .next
  }

  func executeExtendedState(_ op: Micro, _ instruction: Instruction, next: UInt64) -> Status {
    let h = env.host
    let a = effectiveAddress(op)
    switch instruction.operation {
    case .fxsave: return unsafe writeBytes(op.segment, a, 512, from: h.frame) ? .next : .stop
    case .fxrstor: return unsafe readBytes(op.segment, a, 512, into: h.frame) ? .next : .stop
    case .ldmxcsr: return unsafe readBytes(op.segment, a, 4, into: h.frame + 24) ? .next : .stop
    case .stmxcsr: return unsafe writeBytes(op.segment, a, 4, from: h.frame + 24) ? .next : .stop
    default: return raise(.invalidOpcode)
    }
  }

  var extendedComponentsInUse: UInt64 { 7 }
  func extendedStateSize(_ components: UInt64) -> Int { components & 4 != 0 ? 832 : 576 }
  func saveExtendedState() -> [UInt8] { VirtualCPUState.initialExtendedState }
  func restoreExtendedState(_ area: [UInt8]) -> String? { nil }
}
