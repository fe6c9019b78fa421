MODEL (
  name reference.products,
  kind SEED (
    path '../../seeds/products.csv'
  ),
  owner merchandising,
  description 'The assortment, maintained by merchandising in seeds/products.csv.',
  grain product_id,
  columns (
    product_id INT,
    product_name TEXT,
    category TEXT,
    price DECIMAL(10, 2),
    opening_stock INT
  ),
  audits (
    unique_values(columns := (product_id)),
    not_null(columns := (product_name, category, price))
  )
);
