// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.cli;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import picocli.CommandLine;
import picocli.CommandLine.Help;
import picocli.CommandLine.IHelpSectionRenderer;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;
import picocli.CommandLine.Model.UsageMessageSpec;

/** Help in which no word is broken: picocli ends a line behind any hyphen or point, in the middle of an option's name too. */
final class HelpText {
  private static final int NAME_COLUMNS = 22;
  private static final int NARROWEST = 40;

  private HelpText() {}

  /** For a command and all below it. */
  static void install(CommandLine command) {
    command.setUsageHelpAutoWidth(true);
    int columns = columns();
    if (columns > 0) {
      command.setUsageHelpAutoWidth(false);
      command.setUsageHelpWidth(Math.max(55, columns)); // picocli takes no less; our own parts do
    }
    Map<String, IHelpSectionRenderer> sections = command.getHelpSectionMap();
    sections.put(UsageMessageSpec.SECTION_KEY_SYNOPSIS, HelpText::synopsis);
    sections.put(UsageMessageSpec.SECTION_KEY_DESCRIPTION, help -> paragraph(help, help.commandSpec().usageMessage().description()));
    sections.put(UsageMessageSpec.SECTION_KEY_PARAMETER_LIST, HelpText::parameters);
    sections.put(UsageMessageSpec.SECTION_KEY_OPTION_LIST, HelpText::options);
    sections.put(UsageMessageSpec.SECTION_KEY_COMMAND_LIST, HelpText::commands);
    sections.put(UsageMessageSpec.SECTION_KEY_FOOTER, help -> paragraph(help, help.commandSpec().usageMessage().footer()));
    command.getSubcommands().values().forEach(HelpText::install);
  }

  /** What the environment says of the terminal's width; 0: nothing. */
  private static int columns() {
    String columns = System.getenv("COLUMNS");
    return columns != null && columns.matches("\\d{2,4}") ? Integer.parseInt(columns) : 0;
  }

  private static int width(Help help) {
    int columns = columns();
    return columns > 0 ? Math.max(NARROWEST, columns)
        : help.commandSpec().usageMessage().width();
  }

  private static String synopsis(Help help) {
    StringBuilder words = new StringBuilder(help.commandSpec().qualifiedName() + " [OPTIONS]");
    help.commandSpec().positionalParameters().forEach(p -> words.append(' ').append(p.paramLabel()));
    if (!help.commandSpec().subcommands().isEmpty()) {
      words.append(" [COMMAND]");
    }
    return words.append('\n').toString();
  }

  private static String paragraph(Help help, String[] lines) {
    StringBuilder text = new StringBuilder();
    for (String line : lines) {
      wrap(line, width(help)).forEach(part -> text.append(part).append('\n'));
    }
    return text.toString();
  }

  private static String parameters(Help help) {
    StringBuilder table = new StringBuilder();
    for (PositionalParamSpec p : help.commandSpec().positionalParameters()) {
      row(table, "  " + p.paramLabel(), String.join(" ", p.description()), width(help));
    }
    return table.toString();
  }

  private static String options(Help help) {
    List<OptionSpec> options = new ArrayList<>(help.commandSpec().options());
    options.sort(Comparator.comparing(OptionSpec::longestName));
    StringBuilder table = new StringBuilder();
    for (OptionSpec option : options) {
      String value = option.arity().max() == 0 ? "" : "=" + option.paramLabel();
      String names = option.names().length > 1 ? option.shortestName() + ", " + option.longestName() : "    " + option.longestName();
      String text = String.join(" ", option.description());
      boolean defaulted = help.commandSpec().usageMessage().showDefaultValues() && !value.isEmpty() && option.defaultValue() != null;
      row(table, "  " + names + value, defaulted ? text + " (default: " + option.defaultValue() + ")" : text, width(help));
    }
    return table.toString();
  }

  private static String commands(Help help) {
    StringBuilder table = new StringBuilder();
    Set<CommandLine> all = new LinkedHashSet<>(help.commandSpec().subcommands().values());
    for (CommandLine command : all) {
      row(table, "  " + command.getCommandName(), String.join(" ", command.getCommandSpec().usageMessage().description()), width(help));
    }
    return table.toString();
  }

  private static void row(StringBuilder table, String name, String text, int width) {
    List<String> lines = wrap(text, width - NAME_COLUMNS);
    boolean beside = name.length() < NAME_COLUMNS;
    if (!beside) {
      table.append(name).append('\n');
    }
    for (int i = 0; i < lines.size(); i++) {
      String left = i == 0 && beside ? name : "";
      table.append(left).append(" ".repeat(NAME_COLUMNS - left.length())).append(lines.get(i)).append('\n');
    }
  }

  /** Lines of whole words; a word that is longer than a line has one of its own. */
  static List<String> wrap(String text, int width) {
    List<String> lines = new ArrayList<>();
    StringBuilder line = new StringBuilder();
    for (String word : Arrays.asList(text.strip().split("\\s+"))) {
      if (!line.isEmpty() && line.length() + 1 + word.length() > width) {
        lines.add(line.toString());
        line.setLength(0);
      }
      line.append(line.isEmpty() ? "" : " ").append(word);
    }
    lines.add(line.toString());
    return lines;
  }
}
