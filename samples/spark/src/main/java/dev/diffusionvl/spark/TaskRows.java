// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl.spark;

import java.io.Serializable;
import java.util.ArrayDeque;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Queue;
import java.util.concurrent.Semaphore;
import org.apache.spark.TaskContext;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.util.TaskCompletionListener;

/**
 * A task's rows with their answers, in their order. Some rows are ahead in the engine, which answers them together with those of other
 * tasks. A row that takes longer than those behind it keeps only their answers waiting. There are never more than a few, so a table of any
 * length takes the same memory. For one thread.
 */
final class TaskRows implements Iterator<Row> {
  private static final int KEPT = 4; // for each row in the engine, so many that have an answer may wait for one before them

  /** Where prompt, image and schema are in a row; -1 where there is no such column. */
  record Columns(int prompt, int image, int schema) implements Serializable {}

  private record Ahead(Row row, Asking.Asked asked) {}

  private final Iterator<Row> rows;
  private final Columns columns;
  private final int most;
  private final Semaphore places;
  private final Asking asking;
  private final Queue<Ahead> ahead = new ArrayDeque<>();

  TaskRows(Iterator<Row> rows, Columns columns, AnswerSettings settings, AnswerTotals totals) {
    this.rows = rows;
    this.columns = columns;
    most = KEPT * settings.rowsInFlight();
    places = new Semaphore(settings.rowsInFlight());
    asking = new Asking(settings, totals);
    TaskContext.get().addTaskCompletionListener((TaskCompletionListener) end -> cancel());
  }

  @Override
  public boolean hasNext() {
    return !ahead.isEmpty() || rows.hasNext();
  }

  /** Whether to ask another row before the first one's answer is fetched; takes a place for it. */
  private boolean more() {
    if (ahead.size() == most || !rows.hasNext()) {
      return false;
    }
    if (ahead.isEmpty() || !ahead.element().asked().isDone()) {
      places.acquireUninterruptibly(); // whichever row ends next gives one back
      return true;
    }
    return places.tryAcquire();
  }

  private static Object cell(Row row, int column) {
    return column < 0 ? null : row.get(column);
  }

  @Override
  public Row next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    while (more()) {
      Row row = rows.next();
      ahead.add(new Ahead(row, asking.ask((String) cell(row, columns.prompt()), cell(row, columns.image()),
          (String) cell(row, columns.schema()), places::release)));
    }
    Ahead first = ahead.remove();
    Object[] cells = new Object[first.row().length() + 1];
    for (int i = 0; i < first.row().length(); i++) {
      cells[i] = first.row().get(i);
    }
    cells[first.row().length()] = asking.answer(first.asked()).toRow();
    return RowFactory.create(cells);
  }

  /** The task has ended, well or not: nobody will fetch what is still ahead. */
  private void cancel() {
    for (Ahead row : ahead) {
      if (row.asked().generation() != null) {
        row.asked().generation().cancel();
      }
    }
  }
}
