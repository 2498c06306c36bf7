import Glibc
import HostSystem

/// The files that the guest knows, by number, and how to find them again.
///
/// A file is remembered by the directory and the name that it was found by, and by its identity. Its
/// descriptor is held as well, but the host has only so many of them: those not used for long are let go,
/// and the file is looked for again when it is asked for. A file that is open stays held.
struct NodeTable {
  /// The root's number (FUSE_ROOT_ID).
  static let root: UInt64 = 1

  struct Location: Hashable {
    var directory: UInt64
    var name: FileName
  }

  struct Node {
    let identity: FileStatus.Identity
    /// Overlay file systems change it with the first write.
    var born: FileStatus.Time
    let kind: FileStatus.Kind
    /// `nil` for the root.
    var location: Location?
    /// How often the guest was told of it, and has not said that it forgot.
    var lookupCount: UInt64
    var openCount = 0
    var held: FileNode?
    /// Where in `heldNumbers` it is.
    var heldIndex: Int?
    var wasUsed = false

    func isFound(in status: FileStatus) -> Bool {
      status.identity == identity && status.born == born && status.kind == kind
    }
  }

  /// How to get to a file: from one that is held, down through names.
  struct Trail {
    var start: FileNode
    /// The last comes first.
    var steps: [(number: UInt64, node: Node, name: FileName)]
  }

  private(set) var nodes: [UInt64: Node] = [:]
  private var numbers: [FileStatus.Identity: UInt64] = [:]
  private var nextNumber: UInt64 = Self.root + 1
  private let mostNodes: Int
  private let mostHeld: Int
  /// Numbers of nodes other than the root that are held, and which of them is asked first to give way.
  private var heldNumbers: [UInt64] = []
  private var hand = 0

  /// Longer than any path that the host takes, so that no loop made by renames is walked for ever.
  private static let mostSteps = 2048

  init(root: FileNode, mostNodes: Int, mostHeld: Int) {
    self.mostNodes = mostNodes
    self.mostHeld = max(1, mostHeld)
    nodes[Self.root] = Node(
      identity: root.identity, born: root.born, kind: root.kind, location: nil, lookupCount: 1,
      held: root)
    numbers[root.identity] = Self.root
  }

  var heldCount: Int { heldNumbers.count }

  // MARK: Knowing

  /// The guest is about to be told of a file: its number.
  mutating func enter(_ status: FileStatus, at location: Location) throws(HostError) -> UInt64 {
    // While it is held, its number is not given to another.
    if let number = numbers[status.identity], let node = nodes[number],
      node.isFound(in: status) || node.held != nil && node.kind == status.kind
    {
      nodes[number]?.lookupCount = node.lookupCount &+ 1
      nodes[number]?.born = status.born
      if number != Self.root { nodes[number]?.location = location }
      return number
    }
    guard nodes.count < mostNodes else { throw .refused(ENFILE) }
    let number = nextNumber
    nextNumber &+= 1
    nodes[number] = Node(
      identity: status.identity, born: status.born, kind: status.kind, location: location,
      lookupCount: 1)
    numbers[status.identity] = number
    return number
  }

  /// The guest has forgotten a file `count` times.
  mutating func forget(_ number: UInt64, count: UInt64) {
    guard number != Self.root, let node = nodes[number] else { return }
    nodes[number]?.lookupCount = node.lookupCount > count ? node.lookupCount - count : 0
    dropIfUnknown(number)
  }

  mutating func noteOpened(_ number: UInt64) { nodes[number]?.openCount += 1 }

  mutating func noteClosed(_ number: UInt64) {
    guard let node = nodes[number], node.openCount > 0 else { return }
    nodes[number]?.openCount -= 1
    dropIfUnknown(number)
    while heldNumbers.count > mostHeld, makeRoom() {}
  }

  private mutating func dropIfUnknown(_ number: UInt64) {
    guard number != Self.root, let node = nodes[number], node.lookupCount == 0,
      node.openCount == 0
    else { return }
    if let index = node.heldIndex { letGo(index) }
    if numbers[node.identity] == number { numbers[node.identity] = nil }
    nodes[number] = nil
  }

  /// A file got another name.
  mutating func move(_ identity: FileStatus.Identity, to location: Location) {
    guard let number = numbers[identity], number != Self.root else { return }
    nodes[number]?.location = location
  }

  // MARK: Finding

  /// - Throws: `ESTALE` for a number that is none, or that nothing leads to any more.
  mutating func trail(to number: UInt64) throws(HostError) -> Trail {
    var steps: [(number: UInt64, node: Node, name: FileName)] = []
    var here = number
    while steps.count < Self.mostSteps {
      guard let node = nodes[here] else { break }
      if let held = node.held {
        nodes[here]?.wasUsed = true
        return Trail(start: held, steps: steps)
      }
      guard let location = node.location else { break }
      steps.append((here, node, location.name))
      here = location.directory
    }
    throw .refused(ESTALE)
  }

  /// Holds the descriptor of a file that was found again.
  mutating func hold(_ file: FileNode, for number: UInt64) {
    guard let node = nodes[number], node.held == nil, node.identity == file.identity else {
      return
    }
    while heldNumbers.count >= mostHeld, makeRoom() {}
    nodes[number]?.held = file
    nodes[number]?.heldIndex = heldNumbers.count
    nodes[number]?.wasUsed = true
    heldNumbers.append(number)
  }

  /// Lets go of half of what is held, because the host has no more descriptors.
  mutating func letGoOfHalf() {
    let wanted = heldNumbers.count / 2
    while heldNumbers.count > wanted, makeRoom() {}
  }

  /// Lets go of a file that was not used since it was last asked. Returns whether there was one; all that are
  /// open stay.
  private mutating func makeRoom() -> Bool {
    for _ in 0..<2 * heldNumbers.count {
      if hand >= heldNumbers.count { hand = 0 }
      let number = heldNumbers[hand]
      if let node = nodes[number], node.wasUsed || node.openCount > 0 {
        nodes[number]?.wasUsed = false
        hand += 1
      } else {
        letGo(hand)
        return true
      }
    }
    return false
  }

  private mutating func letGo(_ index: Int) {
    let number = heldNumbers[index]
    nodes[number]?.held = nil
    nodes[number]?.heldIndex = nil
    let last = heldNumbers.removeLast()
    if last != number {
      heldNumbers[index] = last
      nodes[last]?.heldIndex = index
    }
  }
}
