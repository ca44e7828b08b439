// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.eval;

import java.util.List;
import java.util.Locale;

/** MMStar: the letter that the answer begins with, or that follows "(", "option " or "the answer is ". */
final class MmStar implements Benchmark {
  private static final String[] LEADS = {"", "(", "option ", "the answer is "};

  @Override
  public Question question(DataRow row) {
    String prompt = row.text("question").strip() + "\nAnswer with the option's letter from the given choices directly";
    return Question.of(row.id("index"), prompt, List.of(row.picture("image")), List.of(row.text("answer")), List.of());
  }

  @Override
  public double score(Answer answer) {
    String said = plain(answer.text());
    String gold = plain(answer.gold());
    for (String lead : LEADS) {
      if (said.startsWith(lead) && said.length() > lead.length() && gold.equals(said.substring(lead.length(), lead.length() + 1))) {
        return 1;
      }
    }
    return 0;
  }

  private static String plain(String text) {
    return text.toLowerCase(Locale.ROOT).strip().replace('\n', ' ');
  }
}
