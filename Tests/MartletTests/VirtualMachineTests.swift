import EngineInterface
import HostSystem
import MachineTypes
import Testing
import X86

@testable import Martlet

@Suite(.timeLimit(.minutes(1))) struct VirtualMachineTests {
  @Test(arguments: [
    (UInt16(0x10), ExitReason.poweredOff), (0x11, .reset), (0x12, .guestPanic),
  ])
  func `a device's request ends the machine`(port: UInt16, reason: ExitReason) async throws {
    let machine = try ScriptedMachine([[.out(0x80, 1), .out(port)], []])
    #expect(try await machine.run() == reason)
    #expect(machine.machine.state == .stopped(reason))
  }

  @Test func `each exit is answered with its entry`() async throws {
    let call = Hypercall(number: 5, arguments: [0, 0, 0, 0], privilegeLevel: 0, is64Bit: true)
    let machine = try ScriptedMachine([
      [
        .portRead(PortAddress(0x61), .byte), .mmioRead(GuestPhysicalAddress(0xFED0_0000), .word),
        .msrRead(MSRIndex(rawValue: 0x11)), .msrRead(MSRIndex(rawValue: 0x12)),
        .msrWrite(MSRIndex(rawValue: 0x11), 1), .msrWrite(MSRIndex(rawValue: 0x12), 1),
        .hypercall(call), .endOfInterrupt(InterruptVector(rawValue: 0x30)), .interrupted,
        .out(0x10),
      ]
    ])
    #expect(try await machine.run() == .poweredOff)
    #expect(
      machine.engines[0].processors[0].entries == [
        .resume, .completeRead(0x61), .completeRead(0xFFFF), .completeRead(7),
        .injectGeneralProtection, .resume, .injectGeneralProtection, .completeRead(6), .resume,
        .resume,
      ])
    #expect(
      machine.board.log.withLock { $0 } == ["connect", "eoi 48", "out 0x10 0", "disconnect"])
  }

  @Test func `a triple fault yields the registers`() async throws {
    let machine = try ScriptedMachine([[], [.shutdown]])
    guard case .tripleFault(let dump) = try await machine.run() else {
      Issue.record("no triple fault")
      return
    }
    #expect(dump.processor == 1)
    #expect("\(dump)".contains("rip 000000000000fff0"))
    #expect("\(dump)".contains("cs  f000 base 00000000ffff0000"))
    #expect("\(dump)".contains("rdx 0000000000000663"))
  }

  @Test func `an engine that fails ends the machine with its words`() async throws {
    let machine = try ScriptedMachine([[.debug(GuestVirtualAddress(rawValue: 0x1234))]])
    #expect(
      try await machine.run() == .hostError("the script says so, at guest address 0x1234"))
  }

  @Test func `a machine that cannot be put together throws from start`() async throws {
    let machine = try ScriptedMachine()
    await #expect(throws: EngineFailure.unavailable(reason: "no script is left")) {
      try await machine.machine.start()
    }
    #expect(machine.machine.state == .stopped(.hostError("no script is left")))
  }

  @Test func `a reset starts the machine again where it is so configured`() async throws {
    let machine = try ScriptedMachine(onReset: .reboot, [[.out(0x11)]], [[.out(0x10)]])
    #expect(try await machine.run() == .poweredOff)
    #expect(
      machine.board.log.withLock { $0 }.filter { !$0.hasPrefix("out") } == [
        "connect", "disconnect", "connect", "disconnect",
      ])
  }

  @Test func `pause stops all CPUs, resume lets them go on, stop ends them`() async throws {
    let machine = try ScriptedMachine([[], [], []])
    let states = machine.machine.states
    try await machine.machine.start()
    try await machine.machine.pause()
    #expect(machine.machine.state == .paused)
    try await machine.machine.resume()
    try await machine.machine.pause()
    try await machine.machine.resume()
    try await machine.machine.stop()
    var seen: [VirtualMachine.State] = []
    for await state in states { seen.append(state) }
    #expect(
      seen == [
        .ready, .starting, .running, .pausing, .paused, .resuming, .running, .pausing, .paused,
        .resuming, .running, .stopping, .stopped(.stopped),
      ])
  }

  @Test func `a paused machine can be stopped`() async throws {
    let machine = try ScriptedMachine([[], []])
    try await machine.machine.start()
    try await machine.machine.pause()
    try await machine.machine.stop()
    #expect(machine.machine.state == .stopped(.stopped))
  }

  @Test func `requests that do not fit the state are refused`() async throws {
    let machine = try ScriptedMachine([[]])
    await #expect(throws: VirtualMachineError.self) { try await machine.machine.pause() }
    await #expect(throws: VirtualMachineError.self) { try await machine.machine.stop() }
    #expect(throws: VirtualMachineError.self) { try machine.machine.requestStop() }
    try await machine.machine.start()
    await #expect(throws: VirtualMachineError.self) { try await machine.machine.start() }
    await #expect(throws: VirtualMachineError.self) { try await machine.machine.resume() }
    try await machine.machine.stop()
    try await machine.machine.stop()
  }

  @Test func `requestStop presses the power button`() async throws {
    let machine = try ScriptedMachine([[]])
    try await machine.machine.start()
    try machine.machine.requestStop()
    try await machine.machine.stop()
    #expect(machine.board.log.withLock { $0 }.contains("power button"))
  }
}
