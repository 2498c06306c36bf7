import DeviceModel
import Testing

@testable import Networks

/// A fragment of an IPv4 datagram: its payload's bytes count from `offset` on.
private func fragment(
  _ range: Range<Int>, isLast: Bool = false, identification: UInt8 = 7
) -> NetworkPacket {
  let length = 20 + range.count
  let place = range.lowerBound / 8 | (isLast ? 0 : 0x2000)
  var bytes: [UInt8] = [UInt8](repeating: 2, count: 12) + [0x08, 0x00]
  bytes += [0x45, 0, UInt8(length >> 8), UInt8(length & 255), 0, identification]
  bytes += [UInt8(place >> 8), UInt8(place & 255), 64, 17, 0, 0, 10, 0, 2, 15, 10, 0, 2, 2]
  return NetworkPacket(bytes: bytes + range.map { UInt8(truncatingIfNeeded: $0 &* 7) })
}

@Suite struct DatagramAssemblyTests {
  @Test(arguments: [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
  func `fragments in any order become one datagram`(order: [Int]) throws {
    let parts = [
      fragment(0..<1480), fragment(1480..<2960), fragment(2960..<3001, isLast: true),
    ]
    var assembly = DatagramAssembly()
    let answer1 = assembly.add(parts[order[0]])
    #expect(answer1 == nil)
    let answer2 = assembly.add(parts[order[1]])
    #expect(answer2 == nil)
    let answer = assembly.add(parts[order[2]])
    let whole = try #require(answer)
    #expect(whole.bytes.count == 14 + 20 + 3001)
    #expect(whole.bytes[34...].enumerated().allSatisfy { $1 == UInt8(truncatingIfNeeded: $0 &* 7) })
    #expect(whole.bytes[16..<18] == [UInt8(3021 >> 8), UInt8(3021 & 255)])
    #expect(whole.bytes[20..<22] == [0, 0])
    #expect(slowSum(Array(whole.bytes[14..<34])) == 0xFFFF)
  }

  @Test func `a whole packet passes as it is`() {
    var assembly = DatagramAssembly()
    let packet = largePacket(payload: 3000, segment: 0)
    let answer3 = assembly.add(packet)
    #expect(answer3 == packet)
    let short = NetworkPacket(bytes: [UInt8](repeating: 8, count: 20))
    let answer4 = assembly.add(short)
    #expect(answer4 == short)
  }

  @Test func `fragments that overlap drop their datagram`() {
    var assembly = DatagramAssembly()
    let answer5 = assembly.add(fragment(0..<80))
    #expect(answer5 == nil)
    let answer6 = assembly.add(fragment(72..<100, isLast: true))
    #expect(answer6 == nil)
    let answer7 = assembly.add(fragment(80..<100, isLast: true))
    #expect(answer7 == nil)
    let answer8 = assembly.add(fragment(0..<80))
    #expect(answer8 != nil)
  }

  @Test func `what is never finished makes room`() {
    var assembly = DatagramAssembly()
    for identification in 0..<40 {
      let answer9 = assembly.add(fragment(0..<8, identification: UInt8(identification)))
      #expect(answer9 == nil)
    }
    let answer10 = assembly.add(fragment(8..<9, isLast: true, identification: 0))
    #expect(answer10 == nil)
    let answer11 = assembly.add(fragment(8..<9, isLast: true, identification: 39))
    #expect(answer11 != nil)
  }

  @Test func `fragments that cannot be are dropped`() {
    var assembly = DatagramAssembly()
    // The field's end is beyond 64 KiB; a middle part is no multiple of eight; a header's length lies.
    let answer12 = assembly.add(fragment(65_528..<65_600, isLast: true))
    #expect(answer12 == nil)
    let answer13 = assembly.add(fragment(8..<15))
    #expect(answer13 == nil)
    for length: UInt8 in [0, 19, 20, 200] {
      var lying = fragment(8..<16)
      lying.bytes[17] = length
      let answer14 = assembly.add(lying)
      #expect(answer14 == nil)
    }
  }
}
