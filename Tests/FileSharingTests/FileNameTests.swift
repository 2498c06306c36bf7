import HostSystem
import Testing

@Suite struct FileNameTests {
  @Test(arguments: ["", ".", "..", "a/b", "/", "a\0b", String(repeating: "x", count: 256)])
  func `what leads elsewhere than into a directory is no name`(text: String) {
    #expect(FileName(Array(text.utf8)) == nil)
  }

  @Test(arguments: ["a", "...", ".a", "..b", String(repeating: "x", count: 255), "ä"])
  func `anything else is one`(text: String) throws {
    let name = try #require(FileName(Array(text.utf8)))
    #expect(name.bytes == Array(text.utf8))
  }
}
