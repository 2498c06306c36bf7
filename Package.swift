// swift-tools-version: 6.3
import PackageDescription

// The targets and the arrows between them are the architecture: see Documentation/architecture.md.
// An import that is not declared here fails the build (--explicit-target-dependency-import-check).

let commonSettings: [SwiftSetting] = [
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

/// Tests poke at raw memory to set their scenes; only the product is held to strict memory safety.
let settings = commonSettings + [.strictMemorySafety()]
let testSettings = commonSettings

func module(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies, swiftSettings: testSettings)
}

let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let argumentParser: Target.Dependency = .product(
  name: "ArgumentParser", package: "swift-argument-parser")

let yams: Target.Dependency = .product(name: "Yams", package: "Yams")

let package = Package(
  name: "martlet",
  products: [
    .library(name: "Martlet", targets: ["Martlet"]),
    .executable(name: "martlet", targets: ["MartletCLI"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
  ],
  targets: [
    // Vocabulary.
    .target(name: "CHost", linkerSettings: [.linkedLibrary("uring")]),
    module("Bits"),
    module("MachineTypes", ["Bits"]),
    module("X86", ["Bits", "MachineTypes"]),

    // Host and memory.
    module("HostSystem", ["CHost"]),
    module("GuestMemory", ["MachineTypes", "HostSystem", "CHost"]),

    // Engines.
    module("EngineInterface", ["MachineTypes", "X86", "GuestMemory"]),
    module(
      "KVMEngine",
      ["EngineInterface", "MachineTypes", "X86", "GuestMemory", "HostSystem", "CHost", "Bits"]),
    module("X86Decoder", ["X86", "Bits"]),
    module(
      "SoftwareEngine",
      [
        "EngineInterface", "MachineTypes", "X86", "GuestMemory", "X86Decoder", "HostSystem",
        "CHost", "Bits",
      ]),

    // Devices.
    module("DeviceModel", ["MachineTypes", "GuestMemory", "HostSystem"]),
    module("ChipsetDevices", ["DeviceModel", "MachineTypes", "Bits"]),
    .systemLibrary(name: "CCompression", providers: [.apt(["zlib1g-dev", "libzstd-dev"])]),
    .systemLibrary(name: "CNBD", providers: [.apt(["libnbd-dev"])]),
    module("DiskImages", ["DeviceModel", "HostSystem", "MachineTypes", "CCompression", "CNBD"]),
    module("FileSharing", ["DeviceModel", "HostSystem"]),
    .systemLibrary(name: "CSlirp", providers: [.apt(["libslirp-dev"])]),
    module("Networks", ["DeviceModel", "HostSystem", "MachineTypes", "CSlirp"]),
    module("PCIBus", ["DeviceModel", "MachineTypes", "Bits"]),
    module(
      "VirtioDevices", ["DeviceModel", "GuestMemory", "HostSystem", "MachineTypes", "PCIBus"]),
    module("Paravirtualization", ["DeviceModel", "MachineTypes", "GuestMemory", "X86", "Bits"]),

    // Boot.
    module("BootLoaders", ["FirmwareTables", "GuestMemory", "MachineTypes", "X86", "Bits"]),
    module("FirmwareTables", ["GuestMemory", "MachineTypes", "Bits"]),

    // The machine.
    module(
      "Martlet",
      [
        "BootLoaders", "ChipsetDevices", "DeviceModel", "DiskImages", "EngineInterface",
        "FileSharing", "FirmwareTables", "GuestMemory", "HostSystem", "KVMEngine", "MachineTypes",
        "Networks", "PCIBus",
        "Paravirtualization", "SoftwareEngine", "VirtioDevices", "X86", logging,
      ]),
    .executableTarget(
      name: "MartletCLI",
      dependencies: [
        "Martlet", "EngineInterface", "HostSystem", "DeviceModel", "DiskImages", "Networks",
        "FileSharing",
        argumentParser,
        logging, yams,
      ],
      swiftSettings: settings),

    .executableTarget(
      name: "BootKernel", dependencies: ["Martlet"], path: "Examples/BootKernel",
      swiftSettings: settings),

    // Tests.
    .target(name: "ConformanceGuests", path: "Tests/ConformanceGuests"),
    .target(
      name: "MartletTesting",
      dependencies: [
        "DeviceModel", "EngineInterface", "GuestMemory", "MachineTypes", "X86",
      ],
      path: "Tests/MartletTesting", swiftSettings: testSettings),
    .systemLibrary(
      name: "CZydis", path: "Tests/CZydis",
      providers: [.apt(["libzydis-dev"])]),
    tests("FoundationTests", ["Bits", "MachineTypes", "X86", "HostSystem", "GuestMemory"]),
    tests("X86DecoderTests", ["X86Decoder", "X86", "CZydis"]),
    tests(
      "SoftwareEngineTests",
      [
        "SoftwareEngine", "X86Decoder", "EngineInterface", "GuestMemory", "MachineTypes", "X86",
        "HostSystem", "CHost", "MartletTesting",
      ]),
    tests(
      "KVMEngineTests",
      [
        "KVMEngine", "EngineInterface", "GuestMemory", "MachineTypes", "X86", "HostSystem",
        "CHost", "MartletTesting",
      ]),
    tests(
      "ConformanceTests",
      [
        "ConformanceGuests", "KVMEngine", "SoftwareEngine", "EngineInterface", "GuestMemory",
        "MachineTypes", "X86", "MartletTesting",
      ]),
    tests(
      "DeviceTests",
      ["ChipsetDevices", "DeviceModel", "MachineTypes", "GuestMemory", "MartletTesting"]),
    tests("PCITests", ["PCIBus", "DeviceModel", "MachineTypes", "MartletTesting"]),
    tests(
      "VirtioTests",
      [
        "VirtioDevices", "PCIBus", "DeviceModel", "GuestMemory", "HostSystem", "MachineTypes",
        "MartletTesting",
      ]),
    tests(
      "NetworkTests", ["Networks", "DeviceModel", "HostSystem", "MachineTypes", "MartletTesting"]),
    .target(name: "HammerPlan", path: "Tests/HammerPlan", swiftSettings: testSettings),
    .executableTarget(
      name: "martlet-disk-hammer",
      dependencies: ["DiskImages", "DeviceModel", "HostSystem", "HammerPlan"],
      path: "Tests/DiskHammer", swiftSettings: testSettings),
    tests(
      "DiskImageTests",
      [
        "DiskImages", "DeviceModel", "HostSystem", "MachineTypes", "MartletTesting", "HammerPlan",
        "martlet-disk-hammer", "MartletCLI",
      ]),
    tests("FileSharingTests", ["FileSharing", "DeviceModel", "HostSystem", "MartletTesting"]),
    tests(
      "ParavirtualizationTests",
      ["Paravirtualization", "DeviceModel", "MachineTypes", "GuestMemory", "X86", "MartletTesting"]),
    tests(
      "BootTests",
      ["BootLoaders", "FirmwareTables", "GuestMemory", "MachineTypes", "X86", "MartletTesting"]),
    tests(
      "MartletTests",
      [
        "Martlet", "MartletCLI", "MartletTesting", "DeviceModel", "EngineInterface",
        "HostSystem", "MachineTypes", "X86", argumentParser,
      ]),
    tests("GuestBootTests", ["Martlet", "HostSystem", "DiskImages", "MartletTesting"]),
  ]
)

// Fuzzing needs libFuzzer and its instrumentation everywhere: only `make fuzz` asks for it.
if Context.environment["MARTLET_FUZZ"] != nil {
  package.targets += [
    .systemLibrary(name: "CFuzzer", path: "Tests/CFuzzer"),
    .executableTarget(
      name: "martlet-fuzz",
      dependencies: [
        "CFuzzer", "X86Decoder", "BootLoaders", "FirmwareTables", "GuestMemory", "MachineTypes",
        "ChipsetDevices", "DeviceModel", "HostSystem", "MartletTesting", "Networks", "PCIBus",
        "VirtioDevices",
        "DiskImages",
      ],
      path: "Tests/Fuzzing", swiftSettings: testSettings),
  ]
}
