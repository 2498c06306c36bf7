extension MachineParts {
  static func assemble(_ configuration: VirtualMachineConfiguration) throws -> MachineParts {
    throw ConfigurationError.noBootLoader
  }
}
