import ArgumentParser
import DiskImages
import Foundation
import Martlet

struct ImageInfoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info", abstract: "Shows what an image is.")

  @Argument(help: "The image.", completion: .file())
  var path: String

  @Option(help: "The image's format (default: as its first bytes tell).")
  var format: ImageFormat?

  @Flag(help: "Write JSON, with the names of `qemu-img info`.")
  var json = false

  func run() throws {
    let information = try ImageCommand.run { () throws(DiskImageError) in
      try DiskImage.information(path: path, format: format)
    }
    if json {
      try ImageCommand.writeJSON(information.json)
    } else {
      print(information.text)
    }
  }
}

extension ImageInformation {
  fileprivate var text: String {
    var lines = [
      "image: \(path)", "format: \(format)",
      "disk size: \(MemorySize(byteCount)) (\(byteCount) bytes)",
      "on the host: \(MemorySize(allocatedByteCount))",
    ]
    if let backingFile {
      let full = fullBackingPath == backingFile ? "" : " (\(fullBackingPath ?? ""))"
      lines.append("backing file: \(backingFile)\(full)")
    }
    if let backingFormat { lines.append("backing format: \(backingFormat)") }
    if let qcow2 {
      lines += [
        "qcow2 version: \(qcow2.version)", "cluster size: \(MemorySize(qcow2.clusterByteCount))",
        "reference counts: \(qcow2.refcountBits) bits\(qcow2.hasLazyRefcounts ? ", lazy" : "")",
        "compression: \(qcow2.compression)",
      ]
      if qcow2.isDirty { lines.append("dirty: it was not closed; who opens it next repairs it") }
      if qcow2.isCorrupt {
        lines.append("corrupt: repair it with `martlet image check --repair all`")
      }
      for snapshot in qcow2.snapshots {
        lines.append("snapshot: \(snapshot.id) \(snapshot.name)")
      }
    }
    return lines.joined(separator: "\n")
  }

  fileprivate var json: [String: Any] {
    var object: [String: Any] = [
      "filename": path, "format": format.rawValue, "virtual-size": byteCount,
      "actual-size": allocatedByteCount, "dirty-flag": qcow2?.isDirty ?? false,
    ]
    object["backing-filename"] = backingFile
    object["full-backing-filename"] = fullBackingPath
    object["backing-filename-format"] = backingFormat
    guard let qcow2 else { return object }
    object["cluster-size"] = qcow2.clusterByteCount
    var data: [String: Any] = [
      "compat": qcow2.version == 2 ? "0.10" : "1.1", "refcount-bits": qcow2.refcountBits,
      "compression-type": "\(qcow2.compression)",
    ]
    if qcow2.version >= 3 {
      data["lazy-refcounts"] = qcow2.hasLazyRefcounts
      data["corrupt"] = qcow2.isCorrupt
      data["extended-l2"] = false
    }
    object["format-specific"] = ["type": "qcow2", "data": data]
    if !qcow2.snapshots.isEmpty {
      object["snapshots"] = qcow2.snapshots.map { snapshot -> [String: Any] in
        [
          "id": snapshot.id, "name": snapshot.name, "date-sec": snapshot.seconds,
          "date-nsec": snapshot.nanoseconds, "vm-state-size": snapshot.stateByteCount,
          "vm-clock-sec": snapshot.guestNanoseconds / 1_000_000_000,
          "vm-clock-nsec": snapshot.guestNanoseconds % 1_000_000_000,
        ]
      }
    }
    return object
  }
}
