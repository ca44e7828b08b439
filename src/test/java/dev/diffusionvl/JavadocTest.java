// SPDX-License-Identifier: Apache-2.0
package dev.diffusionvl;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.source.doctree.DocCommentTree;
import com.sun.source.tree.ClassTree;
import com.sun.source.tree.CompilationUnitTree;
import com.sun.source.tree.MethodTree;
import com.sun.source.tree.ModifiersTree;
import com.sun.source.tree.Tree;
import com.sun.source.tree.VariableTree;
import com.sun.source.util.DocTrees;
import com.sun.source.util.JavacTask;
import com.sun.source.util.TreePath;
import com.sun.source.util.TreePathScanner;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import javax.lang.model.element.Modifier;
import javax.tools.DiagnosticCollector;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;

/** Every public type has Javadoc, in the runtime every public method too; and what there is of it is well formed. */
class JavadocTest {
  private static final List<String> ROOTS = List.of("runtime", "loader", "model", "samples");
  private static final List<String> METHODS_TOO = List.of("runtime");

  private final DiagnosticCollector<JavaFileObject> problems = new DiagnosticCollector<>();
  private final List<String> missing = new ArrayList<>();
  private int types;
  private int methods;

  @Test
  void everyPublicTypeIsDocumented() throws IOException {
    JavacTask task = compile(ROOTS);
    DocTrees trees = DocTrees.instance(task);
    for (CompilationUnitTree unit : task.parse()) {
      new Scan(trees).scan(unit, null);
    }
    assertTrue(types > 60 && methods > 100, types + " types, " + methods + " methods");
    assertEquals(List.of(), missing, () -> String.join("\n", missing));
  }

  /** Links lead somewhere, tags exist, HTML is closed. */
  @Test
  void commentsAreWellFormed() throws IOException {
    compile(METHODS_TOO).analyze();
    List<String> errors = problems.getDiagnostics().stream().filter(d -> d.getCode().startsWith("compiler.err"))
        .map(d -> d.getSource().getName() + ":" + d.getLineNumber() + ": " + d.getMessage(null)).toList();
    assertEquals(List.of(), errors, () -> String.join("\n", errors));
  }

  private JavacTask compile(List<String> roots) throws IOException {
    List<Path> sources = new ArrayList<>();
    for (String root : roots) {
      try (Stream<Path> files = Files.walk(Path.of(root))) {
        files.filter(f -> f.toString().endsWith(".java")).forEach(sources::add);
      }
    }
    JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
    StandardJavaFileManager manager = compiler.getStandardFileManager(null, null, null);
    return (JavacTask) compiler.getTask(null, manager, problems,
        List.of("-proc:none", "-nowarn", "-Xdoclint:syntax,html,reference", "-cp", System.getProperty("java.class.path")), null,
        manager.getJavaFileObjectsFromPaths(sources));
  }

  private final class Scan extends TreePathScanner<Void, Void> {
    private final DocTrees trees;

    Scan(DocTrees trees) {
      this.trees = trees;
    }

    @Override
    public Void visitClass(ClassTree type, Void nothing) {
      boolean visible = visible(type.getModifiers(), getCurrentPath().getParentPath());
      if (!visible) {
        return null; // nothing in it is public either
      }
      types++;
      require(type.getSimpleName().toString());
      return super.visitClass(type, nothing);
    }

    @Override
    public Void visitMethod(MethodTree method, Void nothing) {
      ClassTree owner = (ClassTree) getCurrentPath().getParentPath().getLeaf();
      boolean overrides = method.getModifiers().getAnnotations().stream()
          .anyMatch(a -> a.getAnnotationType().toString().equals("Override"));
      boolean constructor = method.getReturnType() == null; // the type's comment speaks for it
      boolean accessible = owner.getKind() == Tree.Kind.INTERFACE || isPublic(method.getModifiers());
      // rmsNorm() gives the RmsNorm
      boolean named = !constructor && method.getName().contentEquals(lowerFirst(method.getReturnType().toString()));
      if (accessible && !overrides && !constructor && !named && METHODS_TOO.stream().anyMatch(root -> file().startsWith(root))) {
        methods++;
        require(owner.getSimpleName() + "." + method.getName());
      }
      return null; // local classes are not public
    }

    @Override
    public Void visitVariable(VariableTree field, Void nothing) {
      return null;
    }

    private static String lowerFirst(String name) {
      return Character.toLowerCase(name.charAt(0)) + name.substring(1);
    }

    private Path file() {
      return Path.of(getCurrentPath().getCompilationUnit().getSourceFile().getName());
    }

    private void require(String what) {
      DocCommentTree comment = trees.getDocCommentTree(getCurrentPath());
      if (comment == null || comment.getFullBody().isEmpty() && comment.getBlockTags().isEmpty()) {
        missing.add(file() + ": " + what + " has no Javadoc");
      }
    }

    private boolean visible(ModifiersTree modifiers, TreePath parent) {
      return isPublic(modifiers) || parent.getLeaf() instanceof ClassTree outer && outer.getKind() == Tree.Kind.INTERFACE;
    }

    private static boolean isPublic(ModifiersTree modifiers) {
      return modifiers.getFlags().contains(Modifier.PUBLIC) || modifiers.getFlags().contains(Modifier.PROTECTED);
    }
  }
}
