import Foundation
import HostSystem
import Testing

@testable import FileSharing

@Suite struct NodeTableTests {
  private func name(_ text: String) throws -> FileName {
    try #require(FileName(Array(text.utf8)))
  }

  @Test func `directories that are said to lie in each other lead nowhere`() throws {
    let folder = try TemporaryFolder()
    for name in ["a", "b"] { try folder.makeDirectory(name) }
    let root = try folder.root()
    var table = NodeTable(root: root, mostNodes: 10, mostHeld: 10)
    let statuses = try ["a", "b"].map { try root.status(of: name($0)) }
    let a = try table.enter(statuses[0], at: .init(directory: 1, name: name("a")))
    let b = try table.enter(statuses[1], at: .init(directory: 1, name: name("b")))
    #expect(try table.trail(to: a).steps.map(\.number) == [a])
    table.move(statuses[0].identity, to: .init(directory: b, name: try name("a")))
    #expect(try table.trail(to: a).steps.map(\.number) == [a, b])
    table.move(statuses[1].identity, to: .init(directory: a, name: try name("b")))
    #expect(throws: HostError.refused(ESTALE)) { try table.trail(to: a) }
    table.forget(b, count: 1)
    #expect(throws: HostError.refused(ESTALE)) { try table.trail(to: a) }
  }

  @Test func `what was not used for longest gives way, what is open stays`() throws {
    let folder = try TemporaryFolder()
    let root = try folder.root()
    var table = NodeTable(root: root, mostNodes: 100, mostHeld: 8)
    var numbers: [UInt64] = []
    for text in (0..<20).map(String.init) {
      try folder.write("", to: text)
      let location = NodeTable.Location(directory: 1, name: try name(text))
      numbers.append(try table.enter(try root.status(of: location.name), at: location))
      table.hold(try root.child(location.name), for: numbers[numbers.count - 1])
      if text == "3" { table.noteOpened(numbers[3]) }
      #expect(table.heldCount <= 8)
    }
    #expect(table.nodes[numbers[3]]?.held != nil)
    #expect(table.nodes[numbers[19]]?.held != nil)
    #expect(table.nodes[numbers[1]]?.held == nil)
    table.letGoOfHalf()
    #expect(table.heldCount == 4)
    table.letGoOfHalf()
    table.letGoOfHalf()
    table.letGoOfHalf()
    #expect(table.heldCount == 1)
    #expect(table.nodes[numbers[3]]?.held != nil)
    table.noteClosed(numbers[3])
    for number in numbers { table.forget(number, count: 1) }
    #expect(table.heldCount == 0 && table.nodes.count == 1)
  }
}
