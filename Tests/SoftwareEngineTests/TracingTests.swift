import EngineInterface
import GuestMemory
import MachineTypes
import Synchronization
import Testing
import X86

/// What `--trace` shows.
@Suite struct TracingTests {
  /// mov [rsi], eax, which faults; the handler halts.
  private func lines(_ events: ExecutionTrace.Events) throws -> [String] {
    let lines = Lines()
    let fixture = try EngineFixture(
      cpuid: HostOracleDifferentialTests.table, execution: .translator,
      trace: ExecutionTrace(events: events) { lines.add($0) })
    var registers = [UInt64](repeating: 0, count: 16)
    registers[6] = ExceptionFixture.missing
    try fixture.enter64BitMode([0x90, 0x89, 0x06, 0xF4], registers: registers)
    try ExceptionFixture.prepareMemory(fixture)
    var state = try fixture.cpu.saveState()
    ExceptionFixture.prepareState(&state)
    try fixture.cpu.restoreState(state)
    #expect(try fixture.run() == .halt)
    return lines.all
  }

  private final class Lines: Sendable {
    private let lines = Mutex<[String]>([])
    func add(_ line: String) { lines.withLock { $0.append(line) } }
    var all: [String] { lines.withLock { $0 } }
  }

  @Test func `an exception is shown with its error code, address and place`() throws {
    #expect(
      try lines(.interrupts) == [
        "cpu0 1 exception vector 14 error 0x2 address 0x800000 rip 0x100001 cpl 0"
      ])
  }

  @Test func `an exit is shown with its place`() throws {
    #expect(try lines(.exits) == ["cpu0 2 exit halt rip 0x60e1"])
  }

  @Test func `a block is shown with its addresses`() throws {
    let lines = try lines(.blocks)
    #expect(lines.count >= 1)
    #expect(lines[0].hasPrefix("cpu0 0 block 0x100000 ram 0x100000 key "))
  }

  @Test func `nothing is shown unless asked for`() throws { #expect(try lines([]) == []) }
}
