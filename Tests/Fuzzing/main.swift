import CFuzzer
import Glibc

// martlet-fuzz TARGET [libFuzzer's options] [corpus folder]: built by `make fuzz` with libFuzzer.

let targets: [String: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32] = [
  "decoder": fuzzDecoder, "boot": fuzzBootLoaders, "devices": fuzzDevices, "network": fuzzNetwork,
  "qcow2": fuzzQcow2,
]

guard CommandLine.arguments.count > 1, let target = targets[CommandLine.arguments[1]] else {
  print("usage: martlet-fuzz \(targets.keys.sorted().joined(separator: "|")) [options] [corpus]")
  exit(64)
}

// The program's own name, then what follows the target's.
var arguments = CommandLine.unsafeArgv
var count = CommandLine.argc - 1
arguments[1] = arguments[0]
var shifted: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = arguments + 1
exit(LLVMFuzzerRunDriver(&count, &shifted, target))
