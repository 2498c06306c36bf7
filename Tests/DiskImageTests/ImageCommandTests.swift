import DeviceModel
import Foundation
import Testing

@testable import DiskImages

/// `martlet image`, as people call it.
@Suite struct ImageCommandTests {
  private let folder: ImageFolder

  init() throws { folder = try ImageFolder() }

  @discardableResult
  private func martlet(
    _ arguments: String..., status: Int32 = 0
  ) throws -> String {
    let result = try run(
      builtProgram("martlet"), ["image"] + arguments, succeeds: status == 0)
    #expect(result.status == status, "\(arguments): \(result.output)")
    return result.output
  }

  private func json(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  @Test func `create, convert, resize and check make images that info knows`() throws {
    let image = folder.path("image.qcow2")
    try martlet("create", "--size", "10M", "--cluster-size", "4K", "--lazy-refcounts", image)
    let information = try json(try martlet("info", "--json", image))
    #expect(information["virtual-size"] as? Int == 10 << 20)
    #expect(information["cluster-size"] as? Int == 4096)
    #expect(information["format"] as? String == "qcow2")
    #expect(try martlet("info", image).contains("lazy"))
    try martlet("resize", image, "+2M")
    #expect(try martlet("resize", image, "1M", status: 1).contains("--shrink"))
    try martlet("resize", "--shrink", image, "11M")
    try martlet("convert", "--format", "raw", image, folder.path("image.raw"))
    #expect(try folder.bytes(of: "image.raw").count == 11 << 20)
    try martlet("create", "--backing", "image.qcow2", folder.path("top.qcow2"))
    #expect(try martlet("info", folder.path("top.qcow2")).contains("backing file: image.qcow2"))
    let report = try json(try martlet("check", "--json", folder.path("top.qcow2")))
    #expect(report["corruptions"] as? Int == 0 && report["leaks"] as? Int == 0)
  }

  @Test(
    .enabled(if: hasQemuImg, "needs qemu-utils"),
    arguments: ["off", "metadata", "falloc", "full"])
  func `preallocated images are as large as they are to be`(mode: String) throws {
    let image = folder.path("image.qcow2")
    try martlet("create", "--size", "3M", "--preallocation", mode, image)
    try run("qemu-img", ["check", image])
    let actual = try json(try martlet("info", "--json", image))["actual-size"] as? Int ?? 0
    #expect((actual >= 3 << 20) == ["falloc", "full"].contains(mode))
    let disk = try DiskImage.openSynchronous(path: image, isReadOnly: false)
    #expect(try disk.bytes().allSatisfy { $0 == 0 })
    try disk.close()
  }

  @Test func `errors say what to do, and leave nothing behind`() throws {
    let image = folder.path("image")
    #expect(try martlet("create", image, status: 1).contains("--size"))
    #expect(
      try martlet("create", "--size", "1M", "--cluster-size", "3K", image, status: 1)
        .contains("power of two"))
    #expect(try martlet("create", "--size", "1E", image, status: 64).contains("no unit"))
    #expect(!FileManager.default.fileExists(atPath: image))
    try martlet("create", "--size", "1M", image)
    #expect(try martlet("create", "--size", "1M", image, status: 1).contains("exists already"))
    #expect(
      try martlet("create", "--backing", "nowhere", folder.path("top"), status: 1)
        .contains("nowhere"))
    let open = try DiskImage.open(path: image, isReadOnly: false)
    #expect(try martlet("info", image, status: 1).contains("in use"))
    try open.close()
    #expect(
      try martlet("convert", image, folder.path("nowhere/x"), status: 1).contains("nowhere/x"))
  }

  @Test func `check repairs, and its status tells what is left`() throws {
    let image = folder.path("image")
    try martlet("create", "--size", "1M", image)
    var bytes = try folder.bytes(of: "image")
    let block = Int(bytes.bigEndian(at: 0x10000, count: 8) ?? 0)
    bytes[block + 101] = 1
    _ = try folder.write(bytes, to: "image")
    try martlet("check", image, status: 3)
    bytes[block + 1] = 0
    _ = try folder.write(bytes, to: "image")
    #expect(try martlet("check", image, status: 2).contains("--repair all"))
    try martlet("check", "--repair", "leaks", image, status: 2)
    #expect(try martlet("check", "--repair", "all", image).contains("repaired"))
    try martlet("check", image)
    try martlet("check", "--format", "raw", image, status: 1)
  }
}
