-- Makes the parquet and TSV files of this folder, with the columns of the data sets on Hugging Face. DuckDB 2.0 ran it from the root of
-- the project; what reads the files in the tests is another library.
create macro picture(name) as {'bytes': (select content from read_blob('samples/images/' || name)), 'path': name};
create macro nothing() as null::struct(bytes blob, path varchar);

copy (select 'human_test' as type, 'What color is the square?' as question, 'yellow' as answer, picture('yellow-square.png') as image)
  to 'src/test/resources/benchmarks/chartqa/data/test-00000-of-00002.parquet' (format parquet, compression snappy);
copy (select 'augmented_test' as type, 'How many?' as question, '3' as answer, picture('yellow-square.png') as image
    union all select 'augmented_test', 'Which one?', 'the left', picture('yellow-square.png'))
  to 'src/test/resources/benchmarks/chartqa/data/test-00001-of-00002.parquet' (format parquet, compression zstd);
copy (select 'human_test' as type, 'never asked' as question, 'x' as answer, picture('yellow-square.png') as image)
  to 'src/test/resources/benchmarks/chartqa/data/train-00000-of-00001.parquet' (format parquet, compression uncompressed);

copy (select 'What is at the top?' as question, ['leaf', 'stem', 'root'] as options, '2' as answer, picture('yellow-square.png') as image)
  to 'src/test/resources/benchmarks/ai2d/test-00000-of-00001.parquet' (format parquet, compression snappy);

copy (select 7::bigint as index, E'Which option?\nOptions: A: red, B: yellow' as question, picture('yellow-square.png') as image, 'B' as answer,
    'math' as category, 'geometry' as l2_category, {'source': 'x', 'image_path': 'images/7.jpg'} as meta_info)
  to 'src/test/resources/benchmarks/mmstar/mmstar.parquet' (format parquet, compression snappy);

create table mmbench as select 3 as index, 'What is this?' as question, 'Look closely.' as hint, 'B' as answer, 'a circle' as A,
    'a square' as B, 'nan' as C, 'nan' as D, 'shape' as category, picture('yellow-square.png') as image, 'drawn' as source,
    'perception' as "L2-category", '' as comment, 'dev' as split
  union all select 4, E'Which "color"?\nLook.', 'nan', 'A', 'yellow', 'red', 'green', 'blue', 'color', picture('yellow-square.png'), 'drawn',
    'perception', '', 'dev';
copy (select * from mmbench)
  to 'src/test/resources/benchmarks/mmbench/en/dev-00000-of-00001.parquet' (format parquet, compression snappy);
copy (select * replace ('never asked' as question) from mmbench)
  to 'src/test/resources/benchmarks/mmbench/cn/dev-00000-of-00001.parquet' (format parquet, compression snappy);
copy (select index, question, nullif(hint, 'nan') as hint, A, B, nullif(C, 'nan') as C, nullif(D, 'nan') as D, answer, category,
    case when index = 3 then base64(image.bytes) else '3' end as image, source, "L2-category" as "l2-category", comment, split from mmbench)
  to 'src/test/resources/benchmarks/MMBench_DEV_EN.tsv' (format csv, delimiter '\t', header);

copy (select E'How far?\nA. near\nB. far away\nPlease answer directly with only the letter of the correct option and nothing else.' as question,
    'B' as answer, '1.webp' as image_path, picture('yellow-square.png') as image)
  to 'src/test/resources/benchmarks/realworldqa/test-00000-of-00001.parquet' (format parquet, compression snappy);

copy (select 'color/1.png' as question_id, picture('yellow-square.png') as image, 'Is it yellow? Please answer yes or no.' as question,
    'Yes' as answer, 'color' as category
    union all select 'color/1.png', picture('yellow-square.png'), 'Is it red? Please answer yes or no.', 'No', 'color'
    union all select 'code_reasoning/2.png', picture('yellow-square.png'), 'Does it loop? Please answer yes or no.', 'No',
      'code_reasoning')
  to 'src/test/resources/benchmarks/mme/data/test-00000-of-00001.parquet' (format parquet, compression snappy);

create table mmmu as select 'validation_Art_1' as id, 'Compare <image 1> and <image 2>.' as question,
    '[''a "quote"'', "it''s", ''<image 3>'']' as options, picture('yellow-square.png') as image_1, picture('yellow-square.png') as image_2,
    picture('yellow-square.png') as image_3, nothing() as image_4, 'C' as answer, 'multiple-choice' as question_type
  union all select 'validation_Math_2', 'What ratio has <image 1>?', '[]', picture('yellow-square.png'), nothing(), nothing(), nothing(),
    '[''24/7'', ''3.429'']', 'open';
copy (select * from mmmu) to 'src/test/resources/benchmarks/mmmu/data/validation-00000-of-00001.parquet' (format parquet, compression snappy);
copy (select * replace ('never asked' as question) from mmmu)
  to 'src/test/resources/benchmarks/mmmu/data/dev-00000-of-00001.parquet' (format parquet, compression snappy);

copy (select 'test_Art_1' as id, 'See <image 2>.' as question, '[''one'', ''two'']' as options, nothing() as image_1,
    picture('yellow-square.png') as image_2, 'B' as answer, 'Art' as subject)
  to 'src/test/resources/benchmarks/mmmu_pro/standard (10 options)/test-00000-of-00001.parquet' (format parquet, compression snappy);
copy (select 'test_Art_1' as id, picture('yellow-square.png') as image, '[''one'', ''two'']' as options, 'B' as answer, 'Art' as subject)
  to 'src/test/resources/benchmarks/mmmu_pro/vision/test-00000-of-00001.parquet' (format parquet, compression snappy);

copy (select '5' as idx, 'Counting' as task, 'Which of <image> and <image> is yellow?' as question, ['first', 'none'] as options, 'A' as answer,
    [picture('yellow-square.png'), picture('yellow-square.png')] as image_list)
  to 'src/test/resources/benchmarks/muirbench/data/test-00000-of-00001.parquet' (format parquet, compression snappy);
