import ArgumentParser
import Martlet

struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Says which engines this host offers and, where one is missing, why and what to do.")

  func run() {
    for report in EngineReport.survey() {
      print("\(report.engine): \(report.isAvailable ? "available" : "not available")")
      print("  \(report.explanation)")
      if let advice = report.advice { print("  To do: \(advice)") }
    }
    let (engine, reason) = EngineReport.automaticChoice()
    print("\n--engine auto takes \(engine): \(reason)")
  }
}
