import DeviceModel
import Foundation
import HostSystem
import Synchronization
import Testing

@testable import DiskImages

/// Requests that are no more than transfers to or from the image's file.
@Suite struct Qcow2DirectTests {
  private let folder: ImageFolder
  private let disk: Qcow2Disk
  private static let cluster: UInt64 = 65_536

  init() throws {
    folder = try ImageFolder()
    let path = folder.path("image.qcow2")
    try DiskImage.create(path: path, ImageOptions(format: .qcow2, byteCount: 1 << 20))
    disk = try #require(
      DiskImage.openSynchronous(path: path, isReadOnly: false) as? Qcow2Disk)
    let contents = MemorySegments(zeroed: Int(2 * Self.cluster))
    contents.write([UInt8](repeating: 7, count: Int(2 * Self.cluster)))
    try disk.perform(.write(offset: 0, from: contents, isDurable: false))
  }

  private func read(_ offset: UInt64, _ count: Int = 4096) -> BlockRequest {
    .read(offset: offset, into: MemorySegments(zeroed: count))
  }

  @Test func `data that have their place are read and overwritten there`() throws {
    let file = try #require(disk.directFile)
    let buffer = MemorySegments(zeroed: 512)
    buffer.write([UInt8](repeating: 9, count: 512))
    let begun = disk.beginDirect(.write(offset: 512, from: buffer, isDurable: false))
    let transfer = try #require(begun)
    guard case .write(let place, _, _) = transfer.request else {
      Issue.record("\(transfer.request)")
      return
    }
    try file.write(from: buffer, at: place)
    disk.endDirect(transfer)
    let result = MemorySegments(zeroed: 1536)
    try disk.perform(.read(offset: 0, into: result))
    let seven = [UInt8](repeating: 7, count: 512)
    #expect(result.bytes() == seven + [UInt8](repeating: 9, count: 512) + seven)
    // Over the boundary of clusters that follow each other in the file.
    let second = disk.beginDirect(read(Self.cluster - 512, 1024))
    let across = try #require(second)
    disk.endDirect(across)
    try disk.close()
  }

  @Test func `what needs more is not a transfer`() throws {
    let buffer = MemorySegments(zeroed: 512)
    #expect(disk.beginDirect(.write(offset: 0, from: buffer, isDurable: true)) == nil)
    #expect(disk.beginDirect(.flush) == nil)
    #expect(disk.beginDirect(read(4 * Self.cluster)) == nil, "it has no place")
    #expect(disk.beginDirect(read(1 << 20)) == nil, "it lies beyond the end")
    try disk.perform(.writeZeroes(offset: 0, byteCount: Self.cluster, mayUnmap: true))
    #expect(disk.beginDirect(read(0)) == nil, "it reads as zeroes")
    try disk.close()
    let again = try DiskImage.openSynchronous(path: folder.path("image.qcow2"), isReadOnly: true)
    #expect(again.beginDirect(read(Self.cluster)) == nil, "its table is not in memory")
    try again.perform(read(Self.cluster))
    let begun = again.beginDirect(read(Self.cluster))
    again.endDirect(try #require(begun))
    #expect(
      again.beginDirect(.write(offset: Self.cluster, from: buffer, isDurable: false)) == nil)
    try again.close()
  }

  @Test func `clusters stay where they are until the transfer ends`() async throws {
    let begun = disk.beginDirect(read(0))
    let transfer = try #require(begun)
    let cleared = Mutex<Result<Void, BlockError>?>(nil)
    let disk = disk
    let clearing = try HostThread(name: "clearing") {
      let result = Result { () throws(BlockError) in
        try disk.perform(.discard(offset: 0, byteCount: Self.cluster))
      }
      cleared.withLock { $0 = result }
    }
    try await Task.sleep(for: .milliseconds(100))
    #expect(cleared.withLock { $0 } == nil)
    #expect(disk.beginDirect(read(0)) == nil, "who came first goes first")
    disk.endDirect(transfer)
    clearing.join()
    try #require(cleared.withLock { $0 }).get()
    try disk.close()
  }
}
